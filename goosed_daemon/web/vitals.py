"""What a scrape asks the state and the store for, and how late the event loop wakes."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

from bundles import __version__
from bundles.errors import GooseError
from goosed_daemon import agent_rows
from goosed_daemon.telemetry import (
    AGENT_LAST_SEEN,
    BUILD_INFO,
    BUNDLE_VERSIONS,
    DB_CONNECTIONS,
    LAST_IMPORT,
    LOOP_LAG,
)
from goosed_daemon.web.current import Current
from goosed_daemon.web.deps import Deps
from goosed_daemon.web.routes import services

EVERY = 10.0  # seconds between two looks
WAIT = 3.0  # seconds that a scrape waits for one
TICK = 1.0  # seconds between two wakings of the loop


class Vitals:
    """Numbers that others keep, brought up to date when somebody scrapes."""

    def __init__(self, deps: Deps, current: Current) -> None:
        self._deps = deps
        self._current = current
        self._until = 0.0
        own, *_ = services(deps.settings.roles)
        deps.telemetry.set(BUILD_INFO, 1, __version__, own)

    async def refresh(self) -> None:
        """Takes the numbers, at most every `EVERY` seconds. What cannot be had in `WAIT` seconds
        stays as it was: readiness says what is wrong."""
        if time.monotonic() < self._until:
            return
        self._until = time.monotonic() + EVERY
        for look in (self._agents, self._bundles):
            try:
                async with asyncio.timeout(WAIT):
                    await look()
            except (GooseError, TimeoutError):
                continue
        self._deps.telemetry.replace(DB_CONNECTIONS, self._deps.state.connections())

    async def _agents(self) -> None:
        """From the state, so that a silent machine is not forgotten when a daemon starts anew."""
        deps = self._deps
        seen = await deps.in_state(agent_rows.seen, deps.state, deps.clock())
        try:
            named = {m.mac[0]: m.name for m in (await self._current.infra()).machines.values()}
        except GooseError:
            named = {}
        deps.telemetry.replace(
            AGENT_LAST_SEEN, {named.get(mac, mac): at.timestamp() for mac, at in seen.items()}
        )

    async def _bundles(self) -> None:
        deps = self._deps
        bundles = (await deps.in_store(deps.catalog.refs)).bundles
        newest = max((ref.imported for ref in bundles), default=None)
        at = datetime.fromisoformat(newest).timestamp() if newest else 0
        deps.telemetry.set(BUNDLE_VERSIONS, len(bundles))
        deps.telemetry.set(LAST_IMPORT, at)


async def pushing(deps: Deps) -> None:
    """Has metrics sent to the collector, where that is wanted, until it is cancelled; and then once
    more, so that the last are not lost."""
    every = deps.settings.otlp_metrics
    if deps.otlp is None or every is None:
        return
    vitals = Vitals(deps, Current(deps))
    try:
        while True:
            await asyncio.sleep(every.total_seconds())
            await vitals.refresh()
            deps.otlp.metrics()
    finally:
        deps.otlp.metrics()


async def pulse(deps: Deps) -> None:
    """Measures, until it is cancelled, how late the event loop wakes."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(TICK)
        deps.telemetry.observe(LOOP_LAG, max(0.0, time.perf_counter() - before - TICK))
