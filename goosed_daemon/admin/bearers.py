"""Operations on admin tokens: who may use the administration."""

from __future__ import annotations

from typing import Any

from bundles.errors import UsageError
from goosed_daemon import admin_tokens
from goosed_daemon.admin import cursor
from goosed_daemon.admin.models import (
    AdminToken,
    AdminTokenOrder,
    AdminTokenPage,
    NewAdminToken,
    PageQuery,
)
from goosed_daemon.admin.operation import Context, Operation
from goosed_daemon.admin_tokens import Role
from goosed_daemon.errors import AdminTokenExists, AdminTokenUnknown
from goosed_daemon.setting_forms import span

ttl_form = span("1m", "3650d")


def _list(of: Context, query: PageQuery) -> AdminTokenPage:
    place = cursor.decode(query.cursor, str, str)
    after = (cursor.time(place[0]), str(place[1])) if place else None
    rows = [
        token
        for token in admin_tokens.known(of.state)
        if after is None or (token.created_at, token.id) > after
    ]
    shown = rows[: query.limit]
    following = (
        cursor.encode(shown[-1].created_at, shown[-1].id) if len(rows) > len(shown) else None
    )
    return AdminTokenPage(items=[_shown(token, of) for token in shown], next=following)


def _new(of: Context, body: AdminTokenOrder) -> NewAdminToken:
    try:
        ttl = admin_tokens.DEFAULT_TTL if body.ttl is None else ttl_form(body.ttl)
    except ValueError as error:
        raise UsageError(f"ttl: {error}") from error
    made, secret = admin_tokens.new(of.state, body.name, body.role, ttl, of.now, of.actor)
    return NewAdminToken(
        token=secret, name=made.name, role=made.role, expires_at=made.expires_at, id=made.id
    )


def _revoke(of: Context, name: str) -> AdminToken:
    try:
        admin_tokens.good_name(name)
    except ValueError as error:
        raise AdminTokenUnknown(str(error)) from error
    return _shown(admin_tokens.revoke(of.state, name, of.now, of.actor), of)


def _shown(token: admin_tokens.AdminToken, of: Context) -> AdminToken:
    return AdminToken(
        name=token.name,
        role=token.role,
        state=token.state(of.now),
        created_at=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        id=token.id,
    )


LIST = Operation(
    "GET", "/v1/admin-tokens", Role.ADMIN, "List admin tokens", AdminTokenPage, _list,
    query=PageQuery,
)  # fmt: skip
NEW = Operation(
    "POST", "/v1/admin-tokens", Role.ADMIN, "Make an admin token", NewAdminToken, _new,
    body=AdminTokenOrder, status=201, refusals=(AdminTokenExists,),
)  # fmt: skip
REVOKE = Operation(
    "DELETE", "/v1/admin-tokens/{name}", Role.ADMIN, "End an admin token", AdminToken, _revoke,
    refusals=(AdminTokenUnknown,),
)  # fmt: skip

ALL: tuple[Operation[Any], ...] = (LIST, NEW, REVOKE)
