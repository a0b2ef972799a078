"""`bundle import`: volumes in, served content out."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from goosectl import operator, output, site, sizes
from goosectl.bundle import asking, several
from goosectl.bundle import words as told
from goosectl.bundle.options import Identities, Paths, app
from goosectl.interruption import interruptible

if TYPE_CHECKING:
    from bundles.format.repair_request import RepairRequest
    from bundles.reading.delivery import Delivery
    from bundles.reading.tally import Tally
    from bundles.signing.policy import Policy
    from bundles.site.ingest import Imported
    from bundles.store.protocol import Refs
    from goosed_daemon.state import State


@app.command("import")
def import_(
    paths: Paths,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="Overrule a refusal by its code; it is recorded."),
    ] = None,
    identity: Identities = None,
    request: asking.Request = None,
) -> None:
    """Verify volumes and store what they hold.

    Volumes come in any order, in one call or several, of one bundle or several. Interrupted, run
    it again: it goes on. What was served before is served until the last byte is safe. A volume
    that the signed list shows to be damaged or foreign is refused before it is read. With --request
    what is good of damaged volumes is kept, and what is still to come is written down, for a repair
    bundle of just that.

    Example: goosectl bundle import /media/courier
    """
    from bundles.reading import delivery as deliveries
    from bundles.reading import tally
    from bundles.reading.faults import raise_any
    from bundles.signing.policy import RollbackRefused, check_overrides
    from bundles.site.ingest import import_volumes

    out = output.get()
    overrides = check_overrides(allow or [])
    authority, store = site.trust_root(), site.store()
    identities = site.identities(identity)

    def ask(needed: RepairRequest) -> None:
        if request is not None:
            asking.write(request, needed)

    def take(delivery: Delivery) -> tuple[dict[str, object], str]:
        policy = site.policy(store, overrides)
        found = tally.take(delivery, authority, policy.now)
        if request is None:
            raise_any(found.faults)
        if found.missing:
            out.note(f"{delivery.label}: not given: {found.absent}")
        done = import_volumes(
            delivery.paths, store, authority, policy, out.progress(), identities, ask
        )
        if state is not None:
            _write_down(done, policy, state)
        raise_any(found.faults)
        return _told(done, found, any(each.sealed for each in delivery.volumes))

    def take_or_pass(delivery: Delivery) -> tuple[dict[str, object], str]:
        try:
            return take(delivery)
        except RollbackRefused:
            if known := _known(delivery, store.refs()):
                return known
            raise

    # Opened first: where it cannot be written down, nothing is overruled.
    with (
        operator.state() if overrides else nullcontext() as state,
        interruptible(
            "what was verified is kept, what was served is served",
            "run it again: it goes on where it stopped",
        ),
    ):
        found = deliveries.sort_out(paths, identities)
        several.one_request(request, found)
        several.each(found, take_or_pass if len(found) > 1 else take)


def _write_down(done: Imported, policy: Policy, state: State) -> None:
    """Records in the site's audit events what a person overruled."""
    from goosed_daemon import audit

    if done.overruled:
        with state.write() as transaction:
            audit.record(
                transaction,
                policy.now,
                "import-overruled",
                operator.actor(),
                bundle=done.statement.name,
                version=done.statement.version,
                codes=list(done.overruled),
            )


def _told(done: Imported, found: Tally, sealed: bool) -> tuple[dict[str, object], str]:
    from bundles.reading.volumelist import stem, volume_file

    said = done.statement
    count, named = len(said.volumes), stem(said.name, said.version)
    waiting = [volume_file(named, k, count, sealed) for k in done.missing]
    text = [told.summary(said), f"signed by {', '.join(done.signers)}"]
    text += [told.REMARKS[code] for code in found.remarks if code != "no-volume-list"]
    text += [f"overruled: {code}" for code in done.overruled]
    if done.missing:
        text.append(f"incomplete: still to come are volumes {told.numbers(done.missing)}:")
        text += [f"  {file}" for file in waiting]
    else:
        text.append(f"complete: served at /v1/artifacts/{said.name}/")
    text.append(f"{sizes.text(done.bytes_read)} read, {sizes.text(done.bytes_written)} written")
    return {
        "bundle": said.name,
        "version": said.version,
        "sequence": said.sequence,
        "state": done.state,
        "missing": list(done.missing),
        "missing_files": waiting,
        "bytes_read": done.bytes_read,
        "bytes_written": done.bytes_written,
        "signers": list(done.signers),
        "overruled": list(done.overruled),
        "remarks": found.remarks,
    }, "\n".join(text)


def _known(delivery: Delivery, refs: Refs) -> tuple[dict[str, object], str] | None:
    """What is told of a bundle that was imported before, this very one, and is older than what is
    served: a folder with an old version and a new one is given again after an interruption, and
    the old one then is no rollback. None of any other."""
    said = delivery.statement
    known = refs.version(said.name, said.version) if said else None
    if said is None or known is None or known.statement != delivery.volumes[0].digest:
        return None
    return {
        "bundle": said.name,
        "version": said.version,
        "sequence": said.sequence,
        "state": "complete",
        "missing": [],
        "missing_files": [],
        "bytes_read": 0,
        "bytes_written": 0,
    }, f"{delivery.label}: it is here already, and a later version too"
