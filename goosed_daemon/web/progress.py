"""POST /v1/machines/{mac}/progress: what an install reports about itself.

Its secret is minted into the rendered file and can do nothing else.
"""

from __future__ import annotations

import logging

from aiohttp import web

from goosed_daemon import machines
from goosed_daemon.errors import BadQuery, TokenUnknown
from goosed_daemon.infra import mac
from goosed_daemon.telemetry import PROGRESS
from goosed_daemon.web import asked
from goosed_daemon.web.deps import Deps, address
from goosed_daemon.workflow import rows

log = logging.getLogger("goosed.progress")

STEPS = ("started", "disks", "configuring", "failed", "installed")


class Progress:
    """The handler."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def report(self, request: web.Request) -> web.Response:
        """Records a step; `installed` disarms the machine, so that it boots its disk from now
        on."""
        deps = self._deps
        given = mac.normalise(request.match_info["mac"])
        secret, step = asked.needed(request, "token"), asked.needed(request, "step")
        if step not in STEPS:
            raise BadQuery(f"there is no step {step[:40]!r}", hint=f"there is: {', '.join(STEPS)}")
        now = deps.clock()
        token = await deps.in_state(deps.tokens.of_callback, given, secret)
        if token is None:
            deps.strangers.refused(now, "callback-unknown", given, address(request))
            raise TokenUnknown(f"this is not the callback token of the last install of {given}")
        await deps.join(rows.trace, given)
        await deps.in_state(
            machines.report, deps.state, given, step, now, address(request), token.id
        )
        deps.telemetry.count(PROGRESS, step)
        log.info("install reported", extra={"fields": {"mac": given, "step": step}})
        return web.Response(status=204)
