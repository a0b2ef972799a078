"""POST /v1/agents/...: enrolment, heartbeat and refresh of the agents of installed systems.

Answers carry the server's time and lengths in seconds, so that no agent has to trust its clock.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from goosed_daemon.agents import Agents, Lease
from goosed_daemon.errors import (
    AgentTokenUnknown,
    BadQuery,
    DaemonError,
    EnrolmentUnknown,
)
from goosed_daemon.infra import mac
from goosed_daemon.telemetry import AGENT_ENROLMENTS, AGENT_HEARTBEATS, AGENT_REFRESHES, Metric
from goosed_daemon.web import asked, peer
from goosed_daemon.web.current import Current
from goosed_daemon.web.deps import Deps, address
from goosed_daemon.workflow import rows

log = logging.getLogger("goosed.agents")

# draft-ietf-httpapi-idempotency-key-header, section 2.1: a string of structured fields, which many
# clients send without its quotes. Short ones could be guessed.
_KEY = re.compile(r'"?([A-Za-z0-9._:+/=-]{16,128})"?')
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]{1,300})")
_HEADERS = {"Cache-Control": "no-store"}
_VERSION = re.compile(r"[ -~]{1,100}")


class AgentRoutes:
    """The handlers."""

    def __init__(self, deps: Deps, current: Current) -> None:
        self._deps = deps
        self._current = current
        self._agents: Agents = deps.agents

    async def register(self, request: web.Request) -> web.Response:
        """Enrols an agent by the secret that its rendered file, or an operator, told it."""
        body = await asked.body(request)
        secret = asked.member(body, "enrolment")
        key = idempotency_key(request)
        if self._deps.settings.agent_certificates:
            meant = await self._deps.in_state(self._agents.machine_of, secret)
            await peer.require(request, self._deps, self._current, meant)

        def call(now: datetime) -> Lease:
            return self._agents.register(secret, key, now, address(request))

        return await self._answer(request, AGENT_ENROLMENTS, "", call)

    async def heartbeat(self, request: web.Request) -> web.Response:
        """Notes that an agent is alive, and tells how long its token still lasts."""
        body = await asked.body(request)
        machine = mac.normalise(asked.member(body, "machine_id"))
        version = asked.optional(body, "agent")
        if version is not None and not _VERSION.fullmatch(version):
            raise BadQuery("agent is not 1 to 100 visible ASCII characters")
        token = bearer(request)
        await peer.require(request, self._deps, self._current, machine)

        def call(now: datetime) -> Lease:
            return self._agents.heartbeat(machine, token, now, address(request), version)

        return await self._answer(request, AGENT_HEARTBEATS, machine, call)

    async def refresh(self, request: web.Request) -> web.Response:
        """Replaces an agent's token."""
        body = await asked.body(request)
        machine = mac.normalise(asked.member(body, "machine_id"))
        token = asked.member(body, "old_token")
        key = idempotency_key(request)
        await peer.require(request, self._deps, self._current, machine)

        def call(now: datetime) -> Lease:
            return self._agents.refresh(machine, token, key, now, address(request))

        return await self._answer(request, AGENT_REFRESHES, machine, call)

    async def _answer(
        self,
        request: web.Request,
        metric: Metric,
        machine: str,
        call: Callable[[datetime], Lease],
    ) -> web.Response:
        deps = self._deps
        now = deps.clock()
        try:
            lease = await deps.in_state(call, now)
        except DaemonError as refusal:
            deps.telemetry.count(metric, refusal.code)
            if isinstance(refusal, (AgentTokenUnknown, EnrolmentUnknown)):
                deps.strangers.refused(now, refusal.code, machine, address(request))
            fields = {"mac": machine, "code": refusal.code, "address": address(request)}
            log.warning("agent refused", extra={"fields": fields})
            raise
        await deps.join(rows.trace, lease.mac)
        deps.telemetry.count(metric, lease.event)
        level = logging.DEBUG if lease.token is None else logging.INFO
        log.log(level, "agent", extra={"fields": {"mac": lease.mac, "event": lease.event}})
        return web.json_response(_told(lease, now), headers=_HEADERS)


def _told(lease: Lease, now: datetime) -> dict[str, object]:
    told: dict[str, object] = {"machine_id": lease.mac}
    if lease.token is not None:
        told["token"] = lease.token
    left = (lease.expires_at - now).total_seconds()
    return told | {
        "now": _time(now),
        "expires_at": _time(lease.expires_at),
        "expires_in": max(0, int(left)),
    }


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def idempotency_key(request: web.Request) -> str | None:
    """The Idempotency-Key of a request; None when it has none. Raises `BadQuery`."""
    values = request.headers.getall("Idempotency-Key", [])
    if not values:
        return None
    match = _KEY.fullmatch(values[0])
    if match is None or len(values) > 1:
        raise BadQuery("Idempotency-Key is not one word of 16 to 128 characters")
    return match[1]


def bearer(request: web.Request) -> str:
    """The token of the Authorization header (RFC 6750, section 2.1). Raises `AgentTokenUnknown`."""
    values = request.headers.getall("Authorization", [])
    match = _BEARER.fullmatch(values[0]) if len(values) == 1 else None
    if match is None:
        raise AgentTokenUnknown(
            "the request bears no token", hint="send it as Authorization: Bearer TOKEN"
        )
    return match[1]
