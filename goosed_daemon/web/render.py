"""GET /v1/render/{installer}: what an installer is told, once per token."""

from __future__ import annotations

import logging
from ipaddress import ip_address

from aiohttp import web

from goosed_daemon import boot, made_of, token_key
from goosed_daemon.errors import (
    DaemonError,
    MachineUnknown,
    RouteUnknown,
    TokenUnknown,
    WrongInstaller,
)
from goosed_daemon.infra import secrets
from goosed_daemon.receipts import MadeOf
from goosed_daemon.render import kickstart, preseed, unattend
from goosed_daemon.render.context import BootContext
from goosed_daemon.telemetry import TOKENS
from goosed_daemon.token_refusals import UNKNOWN, Refused, judge
from goosed_daemon.token_rows import Token
from goosed_daemon.web import asked
from goosed_daemon.web.current import Current
from goosed_daemon.web.deps import Deps, address
from goosed_daemon.web.turns import Batches, Turns
from goosed_daemon.web.urls import bases
from goosed_daemon.workflow import rows

log = logging.getLogger("goosed.render")

RENDERERS = {"kickstart": kickstart.render, "preseed": preseed.render, "unattend": unattend.render}
_HEADERS = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}


class Render:
    """The handler."""

    def __init__(self, deps: Deps, current: Current) -> None:
        self._deps = deps
        self._current = current
        self._secrets = secrets.Secrets.of(deps.settings)
        self._turns = Turns()
        self._refused: Batches[Refused] = Batches(self._record)

    async def render(self, request: web.Request) -> web.Response:
        """Renders first and uses the token last, so that no failure of ours costs one. HEAD
        answers as GET would, and uses nothing."""
        installer = request.match_info["installer"]
        if installer not in RENDERERS:
            known = ", ".join(RENDERERS)
            raise RouteUnknown(f"there is no renderer {installer!r}", hint=f"there is: {known}")
        secret = asked.needed(request, "token")
        try:
            # In turn: one of those who ask with the same token gets it, and the others cost little.
            async with self._turns.of(secret):
                outcome = await self._outcome(request, installer, secret)
            if isinstance(outcome, Refused):
                if request.method == "GET":
                    await self._refused.add(outcome)
                raise outcome.error
        except DaemonError as refusal:
            self._deps.telemetry.count(TOKENS, "refused", refusal.code)
            raise
        return web.Response(text=outcome, headers=_HEADERS)

    async def _record(self, refused: list[Refused]) -> None:
        await self._deps.in_state(self._deps.tokens.refuse, refused)

    async def _outcome(self, request: web.Request, installer: str, secret: str) -> str | Refused:
        """The text of the file, once its token is used for it."""
        tokens, now = self._deps.tokens, self._deps.clock()
        token = tokens.known(secret) or await self._deps.in_state(tokens.look, secret)
        if token is None:
            # Part of the hash tells repeated guesses apart without telling what was guessed.
            guess = token_key.digest(secret)[:8]
            log.warning("unknown token", extra={"fields": {"guess": guess}})
            self._deps.strangers.refused(now, TokenUnknown.code, "", address(request))
            raise TokenUnknown(UNKNOWN)
        await self._deps.join(rows.trace, token.mac)
        refusal = judge(token, now)
        if refusal is not None and not tokens.replayable(token, now, address(request)):
            return Refused(token, refusal, now, address(request))
        plain = await self._context(request, installer, token)
        context = await self._deps.in_store(secrets.resolved, plain, self._secrets)
        text = RENDERERS[installer](context)
        digest = token_key.digest(text)
        if request.method == "GET":
            made = await self._deps.in_store(made_of.look, plain, self._deps.catalog)
            refused = await self._claim(request, secret, digest, made, context.agent is not None)
            return refused if refused is not None else text
        if refusal is not None and token.rendered != digest:
            raise refusal
        return text

    async def _context(self, request: web.Request, installer: str, token: Token) -> BootContext:
        """What the file is made of, secrets by reference still."""
        infra = await self._current.infra()
        machine = infra.machine_by_mac(token.mac)
        if (stop := infra.stop(mac=token.mac)) is not None:
            raise boot.stopped(stop)
        if machine is None:
            raise MachineUnknown(f"no Machine document has the MAC {token.mac} any more")
        wanted = infra.profile_of(machine).installer
        if installer != wanted:
            raise WrongInstaller(
                f"machine {machine.name} is installed by {wanted}, not {installer}",
                hint=f"ask for /v1/render/{wanted}",
            )
        deps = self._deps
        where = bases(deps, request, infra.site.url)
        secret = deps.agents.enrolment(token.id)
        agent = boot.agent_context(deps.settings, where.main, secret)
        return boot.context(
            infra,
            deps.catalog,
            machine,
            where.main,
            callback=deps.tokens.callback(token),
            agent=agent,
            boot_url=where.boot,
            ca=deps.authority(),
            api_url=deps.settings.api_url,
        )

    async def _claim(
        self, request: web.Request, secret: str, digest: str, made: MadeOf, enrols: bool
    ) -> Refused | None:
        """Uses the token for the file with this digest, which is `made` of that, and has an agent
        where it `enrols`."""
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError("the client went away before its token was used")
        deps = self._deps
        now = deps.clock()
        until = now + deps.settings.enrol_ttl if enrols else None
        token = await deps.in_state(
            deps.tokens.attempt, secret, now, address(request), digest, until, made
        )
        if isinstance(token, Refused):
            return token
        deps.telemetry.count(TOKENS, "replayed" if token.replays else "claimed", "")
        fields = {"mac": token.mac, "token": token.id, "address": address(request)}
        # A token issued by hand was told to an operator: no address that this could differ from.
        if _is_address(token.issued_to) and token.issued_to != token.used_by:
            fields["issued_to"] = token.issued_to
            log.warning("rendered for another address than was told", extra={"fields": fields})
        else:
            log.info("rendered again" if token.replays else "rendered", extra={"fields": fields})
        return None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
