"""Who may use the administration: bearer tokens (RFC 6750), and where too many wrong ones lead."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network

from aiohttp import web

from goosed_daemon import admin_tokens, token_key
from goosed_daemon.admin_tokens import AdminToken, Role
from goosed_daemon.errors import (
    BadAdminToken,
    DaemonError,
    NotAuthenticated,
    RoleTooLow,
    TooManyFailures,
)
from goosed_daemon.web.deps import Deps, address

FAILURES = 10  # wrong tokens that an address may send at once
EVERY = 6.0  # seconds after which it may send one more
_ADDRESSES = 10_000  # remembered at most
_TOKENS = 1_000  # good ones remembered at most
_CHALLENGE = 'Bearer realm="goose"'


class Access:
    """Asks each request for its token. The event loop owns it."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._failures = Failures()
        self._good: OrderedDict[str, None] = OrderedDict()  # digests of tokens

    async def bearer(self, request: web.Request, needed: Role) -> AdminToken:
        """Who asks. Raises `NotAuthenticated`, `BadAdminToken`, `TooManyFailures`, `RoleTooLow`.

        An address that sent too many wrong tokens is turned away before another is looked up, but
        for tokens that were good a moment ago: who shares an address with an attacker, behind NAT,
        works on.
        """
        deps, now = self._deps, self._deps.clock()
        secret = _secret(request)
        digest = token_key.digest(secret)
        if digest not in self._good:
            self._failures.check(address(request), now)
        try:
            found = await deps.in_state(admin_tokens.bearer, deps.state, secret, now)
        except BadAdminToken as error:
            self._good.pop(digest, None)
            self._failures.add(address(request), now)
            deps.strangers.refused(now, error.code, "", address(request))
            raise
        self._good[digest] = None
        self._good.move_to_end(digest)
        if len(self._good) > _TOKENS:
            self._good.popitem(last=False)
        if not found.role.may(needed):
            deps.strangers.refused(now, RoleTooLow.code, "", address(request))
            raise RoleTooLow(f"{found.name} is {found.role}; this needs {needed}", needed=needed)
        return found


def _secret(request: web.Request) -> str:
    headers = request.headers.getall("Authorization", [])
    if len(headers) == 1:
        scheme, _, secret = headers[0].partition(" ")
        if scheme.lower() == "bearer" and secret.strip():
            return secret.strip()
    raise NotAuthenticated("this needs an admin token")


class Failures:
    """Wrong tokens by address, an IPv6 one by its /64, in bounded memory."""

    def __init__(self, limit: int = _ADDRESSES) -> None:
        self._limit = limit
        # How many, and when that was so; the one that failed last at the end.
        self._counts: OrderedDict[str, tuple[float, datetime]] = OrderedDict()

    def check(self, where: str, now: datetime) -> None:
        """Raises `TooManyFailures` for an address that has to wait."""
        count = self._count(_network(where), now)
        if count > FAILURES - 1:
            raise TooManyFailures(
                "too many requests from here bore no good token",
                retry_after=max(1, round((count - FAILURES + 1) * EVERY)),
            )

    def add(self, where: str, now: datetime) -> None:
        """Counts a wrong token."""
        key = _network(where)
        self._counts[key] = (self._count(key, now) + 1, now)
        self._counts.move_to_end(key)
        if len(self._counts) > self._limit:
            self._counts.popitem(last=False)

    def _count(self, key: str, now: datetime) -> float:
        count, at = self._counts.get(key, (0.0, now))
        return max(0.0, count - (now - at).total_seconds() / EVERY)


def _network(where: str) -> str:
    try:
        known = ip_address(where)
    except ValueError:
        return where
    if isinstance(known, IPv6Address) and known.ipv4_mapped is None:
        return str(ip_network((known.packed[:8] + bytes(8), 64)))
    return str(known)


def challenge(error: DaemonError) -> dict[str, str]:
    """The header with which a refusal says what it wants (RFC 6750, section 3)."""
    if isinstance(error, BadAdminToken):
        return {"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"'}
    if isinstance(error, NotAuthenticated):
        return {"WWW-Authenticate": _CHALLENGE}
    if isinstance(error, RoleTooLow):
        scope = error.details["needed"]
        return {"WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'}
    if error.status == 401:
        return {"WWW-Authenticate": "Bearer"}  # an agent's
    if isinstance(error, TooManyFailures):
        return {"Retry-After": str(error.details["retry_after"])}
    return {}
