"""Runs the daemon: puts its parts together, serves, and stops without cutting anyone off."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bundles.errors import GooseError
from bundles.files.durable import replace_file
from bundles.site.catalog import Catalog
from bundles.store import open_store
from goosed_daemon import audit, audit_chain, logs, token_key
from goosed_daemon.agents import Agents
from goosed_daemon.errors import BadSetting
from goosed_daemon.infra import Profiles
from goosed_daemon.places import Places
from goosed_daemon.setting_forms import ORCHESTRATOR
from goosed_daemon.settings import Settings
from goosed_daemon.state import open_state
from goosed_daemon.telemetry import Telemetry
from goosed_daemon.tls import AuthorityFile, ServerTls
from goosed_daemon.tokens import Tokens
from goosed_daemon.web import certificates, orchestration, vitals
from goosed_daemon.web.deps import Deps
from goosed_daemon.web.listeners import Urls, serving
from goosed_daemon.web.routes import services
from goosed_daemon.workflow.sightings import Sightings

log = logging.getLogger("goosed")

TELL_EVERY = 0.25  # seconds between two reports of machines seen in passing
TALLY_EVERY = 10.0  # seconds between two writes of the refusals counted in memory
_STATE_THREADS = 4
_STORE_THREADS = 8
_ADMIN_THREADS = 2
_REMOTE_STORE_THREADS = 32  # which wait for the network most of the time


def run(settings: Settings, ready: Callable[[Urls], None] = lambda urls: None) -> int:
    """Serves until SIGTERM or SIGINT, then finishes what is in flight; returns the exit code.

    `ready` is told the addresses once the daemon answers on them. Raises `CannotListen`,
    `BadSetting`, `TlsUnusable`, `StateError`, `BadTokenKey` or another `GooseError` when it cannot
    start.
    """
    logs.configure(settings.log_level)
    with ExitStack() as closing:
        deps = assemble(settings, closing)
        if deps.otlp is not None:
            logs.configure(settings.log_level, None, deps.otlp.handler)
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
    tls = None if settings.lab else _tls(settings)
    store = open_store(settings.store())
    threads = _REMOTE_STORE_THREADS if store.remote else _STORE_THREADS
    state = open_state(home, settings.db_dsn, clock())
    closing.callback(state.close)
    key = token_key.load(home.token_key)
    telemetry = Telemetry()
    otlp = None
    if settings.otlp_endpoint is not None:
        from goosed_daemon.otlp import Otlp  # OpenTelemetry's messages take a while to load
        from goosed_daemon.otlp_sender import Collector

        collector = Collector(settings.otlp_endpoint, settings.otlp_ca, settings.otlp_headers or {})
        otlp = Otlp(collector, services(settings.roles)[0], telemetry)
        closing.callback(otlp.close)
    return Deps(
        settings=settings,
        state=state,
        tokens=Tokens(state, key, settings.token_ttl, replay_window=settings.replay_window),
        places=Places(state, settings.installs_at_once),
        agents=Agents(state, key, settings.agent_token_ttl),
        catalog=Catalog(store),
        profiles=Profiles(home.infra, interval=0),
        telemetry=telemetry,
        otlp=otlp,
        strangers=audit.Strangers(),
        sightings=Sightings(),
        clock=clock,
        state_threads=closing.enter_context(ThreadPoolExecutor(_STATE_THREADS, "state")),
        store_threads=closing.enter_context(ThreadPoolExecutor(threads, "store")),
        admin_threads=closing.enter_context(ThreadPoolExecutor(_ADMIN_THREADS, "admin")),
        tls=tls,
        authority_file=AuthorityFile(settings.tls_ca),
    )


def _tls(settings: Settings) -> ServerTls:
    client_ca = settings.tls_client_ca if settings.agent_certificates else None
    return ServerTls(settings.tls_certificate, settings.tls_key, client_ca)


async def _serve(deps: Deps, ready: Callable[[Urls], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    orchestrating = (
        orchestration.running(deps) if ORCHESTRATOR in deps.settings.roles else nullcontext()
    )
    async with serving(deps) as urls, certificates.watching(deps), orchestrating:
        tallying = asyncio.create_task(_tally(deps))
        telling = asyncio.create_task(_tell(deps))
        measuring = asyncio.create_task(vitals.pulse(deps))
        pushing = asyncio.create_task(vitals.pushing(deps))
        try:
            with _ready_file(deps.settings.ready_file, urls):
                log.info(
                    "listening",
                    extra={"fields": asdict(urls) | {"roles": sorted(deps.settings.roles)}},
                )
                ready(urls)
                await stop.wait()
                log.info("stopping: no new connections; requests in flight are finished")
        finally:
            tallying.cancel()
            telling.cancel()
            measuring.cancel()
            pushing.cancel()
    log.info("stopped")


@contextmanager
def _ready_file(file: Path | None, urls: Urls) -> Iterator[None]:
    """Has `file` say, within the block, where the daemon answers. Raises `BadSetting`."""
    if file is None:
        yield
        return
    content = json.dumps({"url": urls.main, "boot_url": urls.boot, "pid": os.getpid()}) + "\n"
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


async def _tell(deps: Deps) -> None:
    while True:
        await asyncio.sleep(TELL_EVERY)
        with suppress(GooseError):  # it waits, and whoever needs the state tells what is wrong
            await deps.in_state(deps.sightings.write, deps.state)


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
