"""The listeners: HTTPS for everything, plain HTTP for what firmware fetches; in a lab plain HTTP
for everything."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from goosed_daemon.errors import CannotListen
from goosed_daemon.setting_forms import Address
from goosed_daemon.web import edge, guard
from goosed_daemon.web.app import create_app, create_boot_app
from goosed_daemon.web.deps import Deps

_BACKLOG = 1024  # connections of a rack that is switched on at once
# Longer than the pause of an installer between two fetches.
_KEEPALIVE = 75.0


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the daemon answers."""

    main: str
    boot: str | None  # of the boot listener, if there is one


@asynccontextmanager
async def serving(deps: Deps) -> AsyncIterator[Urls]:
    """Serves within the block. On leaving it no new connection is taken on any listener, and
    requests in flight have `shutdown_grace` to finish. Raises `CannotListen`."""
    settings = deps.settings
    runners = []
    try:
        tls = deps.tls.context if deps.tls is not None else None
        main = _runner(create_app(deps), deps)
        runners.append(main)
        address = await _listen(main, settings.listen, tls, settings.max_connections)
        deps.ports.main = address.port
        urls = Urls(f"{'http' if tls is None else 'https'}://{address}", None)
        if settings.boot_listen is not None:
            boot = _runner(create_boot_app(deps), deps)
            runners.append(boot)
            address = await _listen(boot, settings.boot_listen, None, settings.max_connections)
            deps.ports.boot = address.port
            urls = Urls(urls.main, f"http://{address}")
        yield urls
    finally:
        await asyncio.gather(*(runner.cleanup() for runner in runners))


def _runner(app: web.Application, deps: Deps) -> web.AppRunner:
    connections = logging.getLogger("goosed.connections")
    connections.addFilter(edge.is_ours)
    return web.AppRunner(
        app,
        logger=connections,
        access_log=None,
        shutdown_timeout=deps.settings.shutdown_grace.total_seconds(),
        keepalive_timeout=_KEEPALIVE,
    )


async def _listen(
    runner: web.AppRunner, wanted: Address, tls: ssl.SSLContext | None, most: int
) -> Address:
    await runner.setup()
    try:
        await _Site(runner, wanted, tls, most).start()
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {wanted}: {error.strerror or error}", address=str(wanted)
        ) from error
    host, port = runner.addresses[0][:2]
    return Address(host, port)


class _Site(web.BaseSite):
    """One socket: connections pass a `Guard` on their way to aiohttp."""

    __slots__ = ("_most", "_wanted")

    def __init__(
        self, runner: web.AppRunner, wanted: Address, tls: ssl.SSLContext | None, most: int
    ) -> None:
        super().__init__(runner, ssl_context=tls, backlog=_BACKLOG)
        self._wanted = wanted
        self._most = most

    @property
    def name(self) -> str:
        return f"{'http' if self._ssl_context is None else 'https'}://{self._wanted}"

    async def start(self) -> None:
        await super().start()
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner was not set up")
        self._server = await asyncio.get_running_loop().create_server(
            guard.Doorman(server, self._most),
            self._wanted.host,
            self._wanted.port,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=guard.HANDSHAKE_SECONDS if self._ssl_context else None,
        )
