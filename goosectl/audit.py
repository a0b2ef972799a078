"""goosectl audit: what happened at the site, and whether the record of it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.errors import UsageError
from goosectl import operator, output

if TYPE_CHECKING:
    from goosed_daemon.audit import Event, Refusal

app = typer.Typer(help="See what happened, and check the record of it.", no_args_is_help=True)


@app.command()
def show(
    mac: Annotated[
        str | None, typer.Option(metavar="MAC", help="Only of this machine, by MAC or name.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest this many.")] = 100,
    refused: Annotated[
        bool, typer.Option("--refused", help="Strangers who were refused, by count.")
    ] = False,
) -> None:
    """Show the audit log, oldest first; never a secret.

    Example: goosectl audit show --mac 52:54:00:12:34:56
    """
    from goosed_daemon import audit

    address = None if mac is None else operator.resolve(mac, needs_profiles=False)[0]
    if refused and address is not None:
        raise UsageError("--refused and --mac exclude each other", hint="leave one out")
    with operator.state_if_any() as state:
        if state is None:
            rows = []
        elif refused:
            rows = [_refusal(one) for one in audit.refusals(state, limit)]
        else:
            rows = [_event(one) for one in audit.events(state, mac=address, limit=limit)]
    columns = [(key, key.replace("_", " ").capitalize()) for key in rows[0]] if rows else []
    output.get().table(rows, columns)


@app.command()
def verify(
    anchor: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What the log must still hold.")
    ] = None,
    write_anchor: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Seal what waits, and write an anchor.")
    ] = None,
) -> None:
    """Check that nobody changed the audit log.

    Every event is covered by a chain of seals. An anchor, kept on other media, also shows when
    the newest part was cut off. Exit code 1 when something does not match.

    Example: goosectl audit verify --anchor /media/safe/audit.anchor
    """
    from bundles.store.durable import replace_file
    from goosed_daemon import audit_chain
    from goosed_daemon.errors import AuditBroken

    out = output.get()
    known = None if anchor is None else audit_chain.read_anchor(_bytes(anchor), str(anchor))
    with operator.state() as state:
        if write_anchor is not None:
            audit_chain.seal(state, operator.now())
        verdict = audit_chain.verify(state, known)
    if verdict.faults:
        listed = "\n  ".join(verdict.faults)
        raise AuditBroken(f"the audit log was changed:\n  {listed}", faults=list(verdict.faults))
    if write_anchor is not None and verdict.last is not None:
        try:
            replace_file(write_anchor, verdict.last.encode())
        except OSError as error:
            raise UsageError(f"{write_anchor}: {error.strerror}", hint="name another file") from (
                error
            )
    text = f"whole: {verdict.sealed} events under {verdict.seals} seals"
    if verdict.waiting:
        text += f"; {verdict.waiting} wait for the next seal"
    if known is not None:
        text += f"; seal {known.number} of the anchor is among them"
    out.result(
        {
            "seals": verdict.seals,
            "sealed": verdict.sealed,
            "waiting": verdict.waiting,
            "last": None if verdict.last is None else verdict.last.digest,
        },
        text=text,
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="name the anchor's file") from error


def _event(event: Event) -> dict[str, object]:
    return {
        "id": event.id,
        "at": operator.show(event.at),
        "kind": event.kind,
        "actor": event.actor,
        "mac": event.mac,
        "token": event.token,
        "detail": dict(event.detail),
    }


def _refusal(refusal: Refusal) -> dict[str, object]:
    return {
        "reason": refusal.reason,
        "mac": refusal.mac,
        "address": refusal.address,
        "count": refusal.count,
        "first_at": operator.show(refusal.first_at),
        "last_at": operator.show(refusal.last_at),
    }
