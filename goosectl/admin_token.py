"""goosectl admin-token: who may use the administration over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from bundles.errors import UsageError
from goosectl import operator, output

app = typer.Typer(help="Say who may use the administration over HTTP.", no_args_is_help=True)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Who bears it; the audit log's actor.")],
    role: Annotated[
        str,
        typer.Option(
            metavar="ROLE", help="viewer looks, operator changes machines, admin makes tokens too."
        ),
    ],
    ttl: Annotated[
        str, typer.Option(metavar="SPAN", help="How long it is good: 12h, 90d; at most 3650d.")
    ] = "90d",
) -> None:
    """Make a token for the administration over HTTP. It is shown here and never again.

    Example: goosectl admin-token new night-shift --role operator --ttl 30d
    """
    from goosed_daemon import admin_tokens
    from goosed_daemon.admin import bearers
    from goosed_daemon.admin.models import AdminTokenOrder

    try:
        admin_tokens.good_name(name)
        bearers.ttl_form(ttl)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if role not in list(admin_tokens.Role):
        raise UsageError(f"{role!r} is no role", hint=f"there is: {', '.join(admin_tokens.Role)}")
    order = AdminTokenOrder(name=name, role=admin_tokens.Role(role), ttl=ttl)
    made = operator.call(bearers.NEW, body=order)
    output.get().result(
        made.model_dump(mode="json"),
        text=f"{made.token}\n{made.name} may use it as {made.role} until"
        f" {operator.show(made.expires_at)}; keep it in a file of mode 0600",
    )


@app.command("list")
def list_() -> None:
    """List admin tokens and what became of them; never a secret.

    Example: goosectl admin-token list
    """
    from goosed_daemon.admin import bearers
    from goosed_daemon.admin.models import PageQuery

    found = operator.pages(bearers.LIST, PageQuery())
    rows = [token.model_dump(mode="json") for token in found]
    columns = (
        [(key, key.replace("_", " ").capitalize()) for key in rows[0] if key != "id"]
        if rows
        else []
    )
    output.get().table(rows, columns)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="As `admin-token list` shows it.")],
) -> None:
    """End an admin token, at once and for good.

    Example: goosectl admin-token revoke night-shift
    """
    from goosed_daemon.admin import bearers

    done = operator.call(bearers.REVOKE, name=name)
    output.get().result(
        done.model_dump(mode="json"), text=f"the admin token {done.name} is revoked"
    )
