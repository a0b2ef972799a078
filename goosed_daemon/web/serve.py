"""Runs the daemon: puts its parts together, serves, and stops without cutting anyone off."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from bundles.catalog import Catalog
from bundles.errors import GooseError
from bundles.store import open_store
from bundles.store.durable import replace_file
from goosed_daemon import audit, audit_chain, logs, token_key
from goosed_daemon.agents import Agents
from goosed_daemon.errors import BadSetting, CannotListen
from goosed_daemon.infra import Profiles
from goosed_daemon.setting_forms import Address
from goosed_daemon.settings import Settings
from goosed_daemon.state import open_state
from goosed_daemon.telemetry import Telemetry
from goosed_daemon.tokens import Tokens
from goosed_daemon.web import edge, orchestration
from goosed_daemon.web.app import create_app
from goosed_daemon.web.deps import Deps

log = logging.getLogger("goosed")

TALLY_EVERY = 10.0  # seconds between two writes of the refusals counted in memory
_STATE_THREADS = 4
_STORE_THREADS = 8
_ADMIN_THREADS = 2
_REMOTE_STORE_THREADS = 32  # which wait for the network most of the time
_BACKLOG = 1024  # connections of a rack that is switched on at once


def run(settings: Settings, ready: Callable[[str], None] = lambda url: None) -> int:
    """Serves until SIGTERM or SIGINT, then finishes what is in flight; returns the exit code.

    `ready` is told the address once the daemon answers on it. Raises `CannotListen`,
    `BadSetting`, `StateError`, `BadTokenKey` or another `GooseError` when it cannot start.
    """
    logs.configure(settings.log_level)
    with ExitStack() as closing:
        deps = assemble(settings, closing)
        asyncio.run(_serve(deps, ready))
        # Every request was answered and the stop was asked for: that is exit code 0, also when
        # the last counts are lost, which the log then says.
        _keep(deps)
    return 0


def assemble(
    settings: Settings,
    closing: ExitStack,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Deps:
    """The parts of a daemon over the folder of `settings`; `closing` ends them in turn.

    The state is migrated and the token key made on the way. Raises `GooseError`.
    """
    home = settings.home
    store = open_store(settings.store())
    threads = _REMOTE_STORE_THREADS if store.remote else _STORE_THREADS
    state = open_state(home, settings.db_dsn, clock())
    closing.callback(state.close)
    key = token_key.load(home.token_key)
    return Deps(
        settings=settings,
        state=state,
        tokens=Tokens(state, key, settings.token_ttl, replay_window=settings.replay_window),
        agents=Agents(state, key, settings.agent_token_ttl),
        catalog=Catalog(store),
        profiles=Profiles(home.infra, interval=0),
        telemetry=Telemetry(),
        strangers=audit.Strangers(),
        clock=clock,
        state_threads=closing.enter_context(ThreadPoolExecutor(_STATE_THREADS, "state")),
        store_threads=closing.enter_context(ThreadPoolExecutor(threads, "store")),
        admin_threads=closing.enter_context(ThreadPoolExecutor(_ADMIN_THREADS, "admin")),
    )


@asynccontextmanager
async def serving(deps: Deps) -> AsyncIterator[str]:
    """Serves within the block; gives the address that it listens on. On leaving the block no new
    connection is taken, and requests in flight have `shutdown_grace` to finish."""
    settings = deps.settings
    connections = logging.getLogger("goosed.connections")
    connections.addFilter(edge.is_ours)
    runner = web.AppRunner(
        create_app(deps),
        logger=connections,
        access_log=None,
        shutdown_timeout=settings.shutdown_grace.total_seconds(),
        # Longer than the pause of an installer between two fetches.
        keepalive_timeout=75,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.listen.host, settings.listen.port, backlog=_BACKLOG)
        try:
            await site.start()
        except OSError as error:
            raise CannotListen(
                f"cannot listen on {settings.listen}: {error.strerror or error}",
                address=str(settings.listen),
            ) from error
        host, port = runner.addresses[0][:2]
        yield f"http://{Address(host, port)}"
    finally:
        await runner.cleanup()


async def _serve(deps: Deps, ready: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(deps) as url, orchestration.running(deps):
        tallying = asyncio.create_task(_tally(deps))
        try:
            with _ready_file(deps.settings.ready_file, url):
                log.info("listening", extra={"fields": {"url": url}})
                ready(url)
                await stop.wait()
                log.info("stopping: no new connections; requests in flight are finished")
        finally:
            tallying.cancel()
    log.info("stopped")


@contextmanager
def _ready_file(file: Path | None, url: str) -> Iterator[None]:
    """Has `file` say, within the block, where the daemon answers. Raises `BadSetting`."""
    if file is None:
        yield
        return
    content = json.dumps({"url": url, "pid": os.getpid()}) + "\n"
    try:
        replace_file(file, content.encode())
    except OSError as error:
        raise BadSetting(
            f"the ready file {file} cannot be written: {error.strerror or error}",
            setting="ready_file",
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # whoever took the folder away took the file with it
            file.unlink()


async def _tally(deps: Deps) -> None:
    while True:
        await asyncio.sleep(TALLY_EVERY)
        await deps.in_state(_keep, deps)


def _keep(deps: Deps) -> None:
    """Writes the refusals counted in memory and seals the audit log. Counts that cannot be
    written are lost, and the log says so; events wait for the next seal."""
    counted = deps.strangers.take()
    try:
        audit.tally(deps.state, counted)
    except GooseError as error:
        log.error(
            "counts of refusals are lost: %s",
            error.message,
            extra={"fields": {"code": error.code, "lost": len(counted)}},
        )
    try:
        audit_chain.seal(deps.state, deps.clock())
    except GooseError as error:
        log.error(
            "the audit log is not sealed: %s", error.message, extra={"fields": {"code": error.code}}
        )
