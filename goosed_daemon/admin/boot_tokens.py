"""Operations on boot tokens."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from bundles.errors import UsageError
from goosed_daemon import token_rows
from goosed_daemon.admin import cursor
from goosed_daemon.admin.machines import undescribed
from goosed_daemon.admin.models import (
    EndedToken,
    IssuedToken,
    Token,
    TokenOrder,
    TokenPage,
    TokenQuery,
)
from goosed_daemon.admin.naming import resolve
from goosed_daemon.admin.operation import Context, Operation
from goosed_daemon.admin_tokens import Role
from goosed_daemon.errors import MachineUnknown, TokenUnknown, TokenUsed
from goosed_daemon.setting_table import token_ttl


def _list(of: Context, query: TokenQuery) -> TokenPage:
    remarks: tuple[str, ...] = ()
    mac = None
    if query.machine is not None:
        named = resolve(of.infra, query.machine, needs_profiles=False)
        mac, remarks = named.mac, named.remarks
    place = cursor.decode(query.cursor, str, str)
    before = None
    if place is not None:
        before = (cursor.time(place[0]), token_id(str(place[1])))
    found = token_rows.page(of.state, of.now, mac, query.state, before, query.limit + 1)
    shown = found[: query.limit]
    following = (
        cursor.encode(shown[-1].issued_at, shown[-1].id) if len(found) > len(shown) else None
    )
    items = [
        Token(
            id=token.id,
            mac=token.mac,
            state=token.state(of.now),
            issued_at=token.issued_at,
            issued_to=token.issued_to,
            expires_at=token.expires_at,
            used_at=token.used_at,
            used_by=token.used_by,
            refusals=token.refusals,
        )
        for token in shown
    ]
    return TokenPage(items=items, next=following, remarks=list(remarks))


def _issue(of: Context, body: TokenOrder) -> IssuedToken:
    try:
        ttl = of.settings.token_ttl if body.ttl is None else token_ttl(body.ttl)
    except ValueError as error:
        raise UsageError(f"ttl: {error}") from error
    named = resolve(of.infra, body.machine)
    infra = of.infra()
    offer = of.tokens().issue(named.mac, of.now, ttl, of.actor)
    base = of.settings.public_url or (infra.site.url if infra is not None else None) or of.asked_at
    machine = infra.machine(named.name) if infra is not None and named.name is not None else None
    installer = infra.profile_of(machine).installer if infra and machine else "kickstart"
    return IssuedToken(
        token=offer.secret,
        mac=named.mac,
        name=named.name,
        expires_at=offer.token.expires_at,
        url=f"{base}/v1/render/{installer}?token={offer.secret}",
        id=offer.token.id,
        remarks=list(undescribed(named)),
    )


def _revoke(of: Context, token: str) -> EndedToken:
    ended = of.tokens().revoke(token_id(token), of.now, of.actor)
    before = ended.state(of.now)
    return EndedToken(id=ended.id, mac=ended.mac, state="revoked" if before == "active" else before)


def token_id(text: str) -> str:
    """An id as it is stored. Raises `UsageError` for what is none."""
    try:
        return str(UUID(text))
    except ValueError as error:
        raise UsageError(
            f"{text[:80]!r} is not a token's id", hint="see `goosectl token list`"
        ) from error


LIST = Operation(
    "GET", "/v1/tokens", Role.VIEWER, "List boot tokens", TokenPage, _list, query=TokenQuery,
    refusals=(MachineUnknown,),
)  # fmt: skip
ISSUE = Operation(
    "POST", "/v1/tokens", Role.OPERATOR,
    "Issue a boot token: the machine's next network boot erases its disk", IssuedToken, _issue,
    body=TokenOrder, status=201, refusals=(MachineUnknown,),
)  # fmt: skip
REVOKE = Operation(
    "DELETE", "/v1/tokens/{token}", Role.OPERATOR, "End a boot token that waits", EndedToken,
    _revoke, refusals=(TokenUnknown, TokenUsed),
)  # fmt: skip

ALL: tuple[Operation[Any], ...] = (LIST, ISSUE, REVOKE)
