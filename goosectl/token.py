"""goosectl token: one-time boot tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from bundles.errors import UsageError
from goosectl import operator, output

app = typer.Typer(help="Issue and revoke boot tokens.", no_args_is_help=True)


@app.command()
def issue(
    mac: Annotated[str, typer.Option(metavar="MAC", help="The machine, by MAC or name.")],
    ttl: Annotated[
        str | None, typer.Option(metavar="SPAN", help="How long it waits: 90s, 30m, 2h, 7d.")
    ] = None,
) -> None:
    """Issue a boot token by hand. The machine's next network boot ERASES ITS DISK and installs it.

    It need not be armed for this, and no try is counted. `token revoke` and `machine disarm` end
    the token before it is used. A token that was waiting is ended, since a machine has at most one.
    The secret is shown here and nowhere else.

    Example: goosectl token issue --mac 52:54:00:12:34:56 --ttl 30m
    """
    from goosed_daemon.setting_table import token_ttl
    from goosed_daemon.settings import Settings

    settings = Settings.load()
    span = settings.token_ttl
    if ttl is not None:
        try:
            span = token_ttl(ttl)
        except ValueError as error:
            raise UsageError(f"--ttl: {error}") from error
    address, name = operator.resolve(mac)
    infra = operator.infra()
    with operator.state() as state:
        tokens = operator.tokens(state, settings)
        offer = tokens.issue(address, operator.now(), span, operator.actor())
    base = settings.public_url or (infra.site.url if infra is not None else None) or settings.url()
    machine = infra.machine(name) if infra is not None and name is not None else None
    installer = infra.profile_of(machine).installer if infra and machine else "kickstart"
    url = f"{base}/v1/render/{installer}?token={offer.secret}"
    out = output.get()
    out.result(
        {
            "token": offer.secret,
            "mac": address,
            "expires_at": operator.show(offer.token.expires_at),
            "url": url,
            "id": offer.token.id,
        },
        text=f"{offer.secret}\n{url}\nuntil {operator.show(offer.token.expires_at)} the next"
        f" network boot of {name or address} erases its disk and installs it",
    )
    if machine is None:
        out.note(f"no Machine document describes {address} yet: until one does, it boots its disk")


@app.command("list")
def list_(
    mac: Annotated[
        str | None, typer.Option(metavar="MAC", help="Only this machine's, by MAC or name.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest this many.")] = 100,
) -> None:
    """List tokens and what became of them; never a secret.

    Example: goosectl token list --mac 52:54:00:12:34:56
    """
    from goosed_daemon.token_rows import newest

    address = None if mac is None else operator.resolve(mac, needs_profiles=False)[0]
    at = operator.now()
    with operator.state_if_any() as state:
        found = newest(state, address, limit) if state is not None else []
    rows = [
        {
            "id": token.id,
            "mac": token.mac,
            "state": token.state(at),
            "issued_at": operator.show(token.issued_at),
            "issued_to": token.issued_to,
            "expires_at": operator.show(token.expires_at),
            "used_at": operator.show(token.used_at),
            "used_by": token.used_by,
            "refusals": token.refusals,
        }
        for token in found
    ]
    columns = [(key, key.replace("_", " ").capitalize()) for key in rows[0]] if rows else []
    output.get().table(rows, columns)


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
) -> None:
    """End a token that waits for its use.

    Example: goosectl token revoke 0b5e2f6e-6a4e-4a53-9c65-0d1d6fb8b9a1
    """
    from uuid import UUID

    from goosed_daemon.settings import Settings

    try:
        token_id = str(UUID(token))
    except ValueError as error:
        raise UsageError(f"{token!r} is not a token's id", hint="see `goosectl token list`") from (
            error
        )
    with operator.state() as state:
        tokens = operator.tokens(state, Settings.load())
        ended = tokens.revoke(token_id, operator.now(), operator.actor())
    output.get().result(
        {"id": token_id, "mac": ended.mac, "state": "revoked"},
        text=f"token {token_id} of {ended.mac} is revoked",
    )
