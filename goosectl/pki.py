"""goosectl pki: the site's own certificates."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.errors import UsageError
from goosectl import operator, output, site

if TYPE_CHECKING:
    from datetime import datetime

    from goosed_daemon.pki import Certificate

app = typer.Typer(help="Make the site's own certificates.", no_args_is_help=True)

SOON = timedelta(days=30)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@app.command()
def init(
    permit: Annotated[
        list[str],
        typer.Option(metavar="DOMAIN|NETWORK", help="What it may vouch for; repeatable."),
    ],
    name: Annotated[str, typer.Option(help="The authority's name.")] = "Goose site CA",
) -> None:
    """Make the site's certification authority.

    It can vouch for nothing but the domains (with all below them) and networks given; clients
    refuse whatever else is signed with its key.

    Example: goosectl pki init --permit site-a.example --permit 10.0.0.0/8
    """
    from goosed_daemon import pki

    made = pki.init(site.home().pki, name, pki.permitted(permit), operator.now()).show()
    output.get().result(
        _facts(made),
        text=f"{_line(made, operator.now())}\n"
        f"Clients trust what it issues once they have {made.path}.\n"
        "Keep ca.key beside it as you keep the site's other keys.",
    )


@app.command()
def issue(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the files.")],
    dns: Annotated[list[str] | None, typer.Option(metavar="HOST", help="A DNS name.")] = None,
    ip: Annotated[list[str] | None, typer.Option(metavar="ADDRESS", help="An address.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is valid.")] = 397,
    client: Annotated[bool, typer.Option("--client", help="For a client, not a server.")] = False,
    renew: Annotated[
        bool, typer.Option("--renew", help="In the place of the one that is there.")
    ] = False,
) -> None:
    """Issue a certificate with a new key: NAME.crt, with the authority's below it, and NAME.key.

    Example: goosectl pki issue goosed --dns goose.site-a.example --ip 10.0.0.5
    """
    from goosed_daemon import pki

    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a file", hint="use letters, digits, dot and hyphen")
    names = [*map(pki.host, dns or []), *map(pki.address, ip or [])]
    now = operator.now()
    made = pki.load(site.home().pki).issue(
        name, names, now, life=timedelta(days=days), client=client, renew=renew
    )
    key = made.path.with_suffix(".key")
    output.get().result(
        _facts(made) | {"key": str(key)}, text=f"{_line(made, now)}\nwrote {made.path} and {key}"
    )


@app.command()
def show() -> None:
    """Show the authority and what it issued; what ends soon is marked.

    Example: goosectl pki show
    """
    from goosed_daemon import pki

    authority, now = pki.load(site.home().pki), operator.now()
    found = [authority.show(), *authority.issued()]
    output.get().result(
        {"authority": _facts(found[0]), "issued": [_facts(one) for one in found[1:]]},
        text="\n".join(_line(one, now) for one in found),
    )


def _facts(certificate: Certificate) -> dict[str, object]:
    return {
        "name": certificate.name,
        "names": list(certificate.names),
        "client": certificate.client,
        "not_after": operator.show(certificate.not_after),
        "fingerprint": certificate.fingerprint,
        "file": str(certificate.path),
    }


def _line(certificate: Certificate, now: datetime) -> str:
    end = operator.show(certificate.not_after)
    left = certificate.not_after - now
    state = "ENDED" if left < timedelta(0) else "ENDS SOON," if left < SOON else "valid"
    return (
        f"{certificate.name}: {', '.join(certificate.names)}\n"
        f"  {state} until {end}; SHA-256 {certificate.fingerprint}"
    )
