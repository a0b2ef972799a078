"""Has the certificate follow its files while the daemon serves."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from goosed_daemon import tls
from goosed_daemon.telemetry import CERTIFICATE_END, CERTIFICATE_LOADS
from goosed_daemon.web.deps import Deps


@asynccontextmanager
async def watching(deps: Deps) -> AsyncIterator[None]:
    """Looks at the files every few seconds within the block, and at once on SIGHUP."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, told.set)
    task = asyncio.create_task(_follow(deps, told))
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        task.cancel()


async def _follow(deps: Deps, told: asyncio.Event) -> None:
    _tell_end(deps)
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), tls.LOOK_EVERY)
        now = told.is_set()
        told.clear()
        if deps.tls is not None:
            await deps.in_store(_look, deps, deps.tls, now)


def _look(deps: Deps, server: tls.ServerTls, now: bool) -> None:
    before = server.problem
    if server.reload() if now else server.look():
        deps.telemetry.count(CERTIFICATE_LOADS, "loaded")
        _tell_end(deps)
    elif server.problem is not before:
        deps.telemetry.count(CERTIFICATE_LOADS, "refused")


def _tell_end(deps: Deps) -> None:
    if deps.tls is not None:
        deps.telemetry.set(CERTIFICATE_END, deps.tls.not_after.timestamp())
