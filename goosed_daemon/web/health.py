"""GET /healthz, /readyz and /metrics."""

from __future__ import annotations

import json

from aiohttp import web

from bundles.errors import GooseError
from goosed_daemon.setting_forms import ORCHESTRATOR
from goosed_daemon.web.current import Current
from goosed_daemon.web.deps import Deps
from goosed_daemon.web.vitals import Vitals


class Health:
    """The handlers."""

    def __init__(self, deps: Deps, current: Current) -> None:
        self._deps = deps
        self._current = current
        self._vitals = Vitals(deps, current)

    async def healthz(self, request: web.Request) -> web.Response:
        """The process answers; nothing else is asked."""
        return web.Response(text="ok\n")

    async def readyz(self, request: web.Request) -> web.Response:
        """Whether the state takes changes and the store can be read, and how the profiles are."""
        checks = {"state": await self._deps.in_state(self._state)}
        if self._deps.settings.roles != {ORCHESTRATOR}:  # which needs no content
            checks["store"] = await self._deps.in_store(self._store)
        ready = all(check == "ok" for check in checks.values())
        # Machines then boot their disks and say why, which a daemon out of service could not.
        profiles = {"profiles": await self._profiles()}
        told = profiles | self._certificate()
        body = json.dumps({"ready": ready, "checks": checks | told}) + "\n"
        return web.Response(
            status=200 if ready else 503, text=body, content_type="application/json"
        )

    async def metrics(self, request: web.Request) -> web.Response:
        """All metrics, for Prometheus."""
        await self._vitals.refresh()
        accept = request.headers.get("Accept", "")
        text, kind = self._deps.telemetry.exposition(accept)
        return web.Response(body=text, headers={"Content-Type": kind})

    def _state(self) -> str:
        try:
            # Changes nothing, but is refused where no token could be issued or used.
            with self._deps.state.write() as transaction:
                transaction.execute("update machines set armed = armed where mac = ''")
        except GooseError as error:
            return error.code
        return "ok"

    def _store(self) -> str:
        try:
            self._deps.catalog.refs()
        except GooseError as error:
            return error.code
        return "ok"

    def _certificate(self) -> dict[str, str]:
        tls = self._deps.tls
        if tls is None:
            return {}
        found = tls.refusal(self._deps.clock()) or tls.problem
        return {"certificate": found.code if found is not None else "ok"}

    async def _profiles(self) -> str:
        try:
            await self._current.infra()
        except GooseError as error:
            return error.code
        return "ok"
