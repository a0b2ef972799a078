"""goosectl audit: what happened at the site, and whether the record of it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bundles.errors import UsageError
from goosectl import operator, output, sizes

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
    kind: Annotated[
        str | None, typer.Option(help="Only of this kind, such as token-issued.")
    ] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this actor did.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only from then on: 2026-11-24T12:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only before.")] = None,
) -> None:
    """Show the audit log, oldest first; never a secret.

    Example: goosectl audit show --mac 52:54:00:12:34:56
    """
    from goosed_daemon.admin import events
    from goosed_daemon.admin.models import EventQuery, PageQuery

    query = operator.asked(
        EventQuery, machine=mac, kind=kind, actor=actor, since=since, until=until
    )
    if refused:
        if len(query.model_fields_set) > 0:
            raise UsageError("--refused takes no filter", hint="leave the others out")
        found = operator.pages(events.REFUSALS, PageQuery(), limit)
    else:
        found = operator.pages(events.LIST, query, limit)[::-1]
    rows = [item.model_dump(mode="json") for item in found]
    columns = (
        [(key, _TITLES.get(key) or key.replace("_", " ").capitalize()) for key in rows[0]]
        if rows
        else []
    )
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
    from bundles.files.durable import replace_file
    from goosed_daemon import audit_chain
    from goosed_daemon.admin import events
    from goosed_daemon.admin.models import Anchor, VerifyOrder
    from goosed_daemon.errors import AuditBroken

    out = output.get()
    known = None if anchor is None else audit_chain.read_anchor(_bytes(anchor), str(anchor))
    order = VerifyOrder(
        anchor=None if known is None else Anchor(seal=known.number, digest=known.digest),
        seal=write_anchor is not None,
    )
    verdict = operator.call(events.VERIFY, body=order)
    if verdict.faults:
        listed = "\n  ".join(verdict.faults)
        raise AuditBroken(f"the audit log was changed:\n  {listed}", faults=verdict.faults)
    if write_anchor is not None and verdict.last is not None:
        try:
            last = audit_chain.Anchor(verdict.last.seal, verdict.last.digest)
            replace_file(write_anchor, last.encode())
        except OSError as error:
            raise UsageError(f"{write_anchor}: {error.strerror}", hint="name another file") from (
                error
            )
    seals = sizes.amount(verdict.seals, "seal")
    text = f"whole: {sizes.amount(verdict.sealed, 'event')} under {seals}"
    if verdict.waiting:
        verb = "waits" if verdict.waiting == 1 else "wait"
        text += f"; {verdict.waiting} {verb} for the next seal"
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


_TITLES = {"mac": "MAC"}


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="name the anchor's file") from error
