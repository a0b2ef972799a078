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
    from goosed_daemon.admin import boot_tokens
    from goosed_daemon.admin.models import TokenOrder
    from goosed_daemon.setting_table import token_ttl

    if ttl is not None:
        try:
            token_ttl(ttl)
        except ValueError as error:
            raise UsageError(f"--ttl: {error}") from error
    body = operator.asked(TokenOrder, machine=mac, ttl=ttl)
    done = operator.call(boot_tokens.ISSUE, body=body)
    output.get().result(
        done.model_dump(mode="json", exclude={"remarks"}),
        text=f"{done.token}\n{done.url}\nuntil {operator.show(done.expires_at)} the next"
        f" network boot of {done.name or done.mac} erases its disk and installs it",
    )


@app.command("list")
def list_(
    mac: Annotated[
        str | None, typer.Option(metavar="MAC", help="Only this machine's, by MAC or name.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest this many.")] = 100,
    state: Annotated[
        str | None, typer.Option(help="Only these: active, used, expired or ended.")
    ] = None,
) -> None:
    """List tokens and what became of them; never a secret.

    Example: goosectl token list --mac 52:54:00:12:34:56
    """
    from goosed_daemon.admin import boot_tokens
    from goosed_daemon.admin.models import TokenQuery

    query = operator.asked(TokenQuery, machine=mac, state=state)
    found = operator.pages(boot_tokens.LIST, query, limit)
    rows = [token.model_dump(mode="json") for token in reversed(found)]
    columns = [(key, key.replace("_", " ").capitalize()) for key in rows[0]] if rows else []
    output.get().table(rows, columns)


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
) -> None:
    """End a token that waits for its use.

    Example: goosectl token revoke 0b5e2f6e-6a4e-4a53-9c65-0d1d6fb8b9a1
    """
    from goosed_daemon.admin import boot_tokens

    done = operator.call(boot_tokens.REVOKE, token=boot_tokens.token_id(token))
    before = "" if done.state == "revoked" else f" was over already: {done.state}"
    output.get().result(
        done.model_dump(mode="json"),
        text=f"token {done.id} of {done.mac}{before or ' is revoked'}",
    )
