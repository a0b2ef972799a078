"""`bundle import`: volumes in, served content out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from goosectl import operator, output, site, sizes
from goosectl.bundle import asking
from goosectl.bundle import words as told
from goosectl.bundle.options import Identities, Paths, app
from goosectl.interruption import interruptible

if TYPE_CHECKING:
    from bundles.content import Content
    from bundles.statement import Statement


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

    Volumes come in any order, in one call or several. Interrupted, run it again: it goes on.
    What was served before is served until the last byte is safe. Of damaged volumes what is good
    is kept; --request writes what is still to come, for a repair bundle of just that.

    Example: goosectl bundle import /media/courier
    """
    from bundles.ingest import import_volumes
    from bundles.policy import check_overrides
    from bundles.repair_request import of_layers
    from goosed_daemon import audit

    out = output.get()
    overrides = check_overrides(allow or [])
    authority, store = site.trust_root(), site.store()
    policy = site.policy(store, overrides)

    def lacking(said: Statement, layers: Sequence[Content]) -> None:
        if request is not None:
            asking.write(request, of_layers(said, layers, asking.site_id()))

    # Opened first: where it cannot be written down, nothing is overruled.
    with operator.state() if overrides else nullcontext() as state:
        with interruptible(
            "what was verified is kept, what was served is served",
            "run it again: it goes on where it stopped",
        ):
            done = import_volumes(
                paths, store, authority, policy, out.progress(), site.identities(identity), lacking
            )
        said = done.statement
        if state is not None and done.overruled:
            with state.write() as transaction:
                audit.record(
                    transaction,
                    policy.now,
                    "import-overruled",
                    operator.actor(),
                    bundle=said.name,
                    version=said.version,
                    codes=list(done.overruled),
                )
    text = [told.summary(said), f"signed by {', '.join(done.signers)}"]
    text += [f"overruled: {code}" for code in done.overruled]
    if done.missing:
        text.append(f"incomplete: still to come are volumes {told.numbers(done.missing)}")
    else:
        text.append(f"complete: served at /v1/artifacts/{said.name}/")
    text.append(f"{sizes.text(done.bytes_read)} read, {sizes.text(done.bytes_written)} written")
    out.result(
        {
            "bundle": said.name,
            "version": said.version,
            "sequence": said.sequence,
            "state": done.state,
            "missing": list(done.missing),
            "bytes_read": done.bytes_read,
            "bytes_written": done.bytes_written,
            "signers": list(done.signers),
            "overruled": list(done.overruled),
        },
        text="\n".join(text),
    )
