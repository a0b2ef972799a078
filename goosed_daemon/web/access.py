"""Who may use the administration: bearer tokens (RFC 6750), and where too many wrong ones lead."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from math import ceil

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
from goosed_daemon.setting_forms import Rate
from goosed_daemon.web.deps import Deps, address
from goosed_daemon.web.limits import Buckets, bucket_of

FAILURES = 10  # wrong tokens that an address may send at once
EVERY = 6  # seconds after which it may send one more
_TOKENS = 1_000  # good ones remembered at most
_CHALLENGE = 'Bearer realm="goose"'


class Access:
    """Asks each request for its token. The event loop owns it."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._failures = failures(lambda: deps.clock().timestamp())
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
            self._check(request)
        try:
            found = await deps.in_state(admin_tokens.bearer, deps.state, secret, now)
        except BadAdminToken as error:
            self._good.pop(digest, None)
            self._failures.take(bucket_of(address(request)))
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

    def _check(self, request: web.Request) -> None:
        if wait := self._failures.wait(bucket_of(address(request))):
            raise TooManyFailures(
                "too many requests from here bore no good token", retry_after=ceil(wait)
            )


def _secret(request: web.Request) -> str:
    headers = request.headers.getall("Authorization", [])
    if len(headers) == 1:
        scheme, _, secret = headers[0].partition(" ")
        if scheme.lower() == "bearer" and secret.strip():
            return secret.strip()
    raise NotAuthenticated("this needs an admin token")


def failures(clock: Callable[[], float]) -> Buckets:
    """How many wrong tokens an address may still send; `clock` is in seconds."""
    return Buckets(Rate(FAILURES, timedelta(seconds=FAILURES * EVERY)), clock)


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
