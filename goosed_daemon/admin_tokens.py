"""Tokens of people and programs that use the administration API, each with a role.

A secret is told once, when it is made; what is stored is its SHA-256. It names its row, so that the
row is found by what is no secret, and the secret itself is only ever compared in constant time.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from goosed_daemon import audit, token_key
from goosed_daemon.errors import AdminTokenExists, AdminTokenUnknown, BadAdminToken, StateError
from goosed_daemon.state.protocol import Row, State, Transaction

SIZE = 32  # bytes of randomness in a secret
PREFIX = "goose_admin_"  # by which scanners for secrets, and our own logs, know one
DEFAULT_TTL = timedelta(days=90)
_FORM = re.compile(rf"{PREFIX}([0-9a-f]{{32}})([0-9a-f]{{{2 * SIZE}}})")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_REMEMBER_USE = timedelta(hours=1)
_COLUMNS = (
    "id, name, role, token, created_at, created_by, expires_at, last_used_at, ended, ended_at"
)


class Role(StrEnum):
    """What a bearer may do; each may do what those before it may."""

    VIEWER = "viewer"  # look at everything but secrets
    OPERATOR = "operator"  # change what happens to machines
    ADMIN = "admin"  # say who may do what

    def may(self, needed: Role) -> bool:
        """Whether this role is `needed` or above it."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class AdminToken:
    """One row of the admin_tokens table."""

    id: str
    name: str
    role: Role
    digest: str  # SHA-256 of the secret, hexadecimal
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None  # to the hour
    ended: str | None
    ended_at: datetime | None

    def state(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.ended is not None:
            return self.ended
        return "active" if self.expires_at > now else "expired"


def good_name(text: str) -> str:
    """`text`, if a token can have it as its name. Raises ValueError, which says what it may be."""
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text[:80]!r} is no name: up to 63 small letters, digits, dots, hyphens and"
            " underscores, beginning with a letter or digit"
        )
    return text


def new(
    state: State,
    name: str,
    role: Role,
    ttl: timedelta,
    now: datetime,
    actor: str,
    *,
    new_id: Callable[[], UUID] = uuid4,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> tuple[AdminToken, str]:
    """A new token and its secret, which nothing can tell again.

    Raises `AdminTokenExists` while another of that name is active, `ValueError` for what can be no
    name.
    """
    good_name(name)
    made = new_id()
    secret = f"{PREFIX}{made.hex}{random(SIZE).hex()}"
    with state.write(lock=f"admin token {name}") as transaction:
        transaction.execute(
            "update admin_tokens set ended = 'expired', ended_at = expires_at"
            " where name = ? and ended is null and expires_at <= ?",
            (name, now),
        )
        if transaction.execute(
            "select id from admin_tokens where name = ? and ended is null", (name,)
        ):
            raise AdminTokenExists(f"there is a token {name} already", name=name)
        rows = transaction.execute(
            "insert into admin_tokens (id, name, role, token, created_at, created_by, expires_at)"
            f" values (?, ?, ?, ?, ?, ?, ?) returning {_COLUMNS}",
            (str(made), name, str(role), token_key.digest(secret), now, actor, now + ttl),
        )
        audit.record(
            transaction, now, "admin-token-new", actor,
            name=name, role=str(role), expires_at=(now + ttl).isoformat(),
        )  # fmt: skip
    return _token(rows[0]), secret


def known(state: State) -> list[AdminToken]:
    """Every token there ever was, oldest first."""
    with state.read() as transaction:
        rows = transaction.execute(f"select {_COLUMNS} from admin_tokens order by created_at, id")
    return [_token(row) for row in rows]


def revoke(state: State, name: str, now: datetime, actor: str) -> AdminToken:
    """Ends the token that is active under `name`. Raises `AdminTokenUnknown`."""
    with state.write(lock=f"admin token {name}") as transaction:
        rows = transaction.execute(
            "update admin_tokens set ended = 'revoked', ended_at = ?"
            f" where name = ? and ended is null returning {_COLUMNS}",
            (now, name),
        )
        if not rows:
            raise AdminTokenUnknown(f"no active admin token has the name {name[:80]!r}")
        audit.record(transaction, now, "admin-token-revoked", actor, name=name)
    return _token(rows[0])


def bearer(state: State, secret: str, now: datetime) -> AdminToken:
    """Whose secret this is. Raises `BadAdminToken`, which tells a stranger nothing but that."""
    form = _FORM.fullmatch(secret)
    if form is None:
        raise BadAdminToken("this is no admin token of this site")
    with state.read() as transaction:
        found = _by_id(transaction, str(UUID(form[1])))
    # Compared also where there is nothing to compare with, so that time tells no ids either.
    stored = found.digest if found is not None else token_key.digest("")
    same = hmac.compare_digest(stored.encode(), token_key.digest(secret).encode())
    if found is None or not same:
        raise BadAdminToken("this is no admin token of this site")
    if (why := found.state(now)) != "active":
        raise BadAdminToken(f"the admin token {found.name} is {why}", name=found.name)
    if found.last_used_at is None or now - found.last_used_at >= _REMEMBER_USE:
        with suppress(StateError):  # who may look is not turned away because a note cannot be made
            _note_use(state, found, now)
    return found


def _note_use(state: State, token: AdminToken, now: datetime) -> None:
    with state.write() as transaction:
        transaction.execute(
            "update admin_tokens set last_used_at = ? where id = ?", (now, token.id)
        )


def _by_id(transaction: Transaction, token_id: str) -> AdminToken | None:
    rows = transaction.execute(f"select {_COLUMNS} from admin_tokens where id = ?", (token_id,))
    return _token(rows[0]) if rows else None


def _token(row: Row) -> AdminToken:
    return AdminToken(row[0], row[1], Role(row[2]), *row[3:])
