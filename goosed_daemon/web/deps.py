"""What the web application is given: everything, so that it owns nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from aiohttp import web

from bundles.errors import GooseError
from bundles.site.catalog import Catalog
from goosed_daemon.agents import Agents
from goosed_daemon.audit import Strangers
from goosed_daemon.infra import Profiles
from goosed_daemon.places import Places
from goosed_daemon.settings import Settings
from goosed_daemon.state import State
from goosed_daemon.telemetry import Telemetry
from goosed_daemon.tls import AuthorityFile, ServerTls
from goosed_daemon.tokens import Tokens
from goosed_daemon.tracing import CURRENT
from goosed_daemon.workflow.sightings import Sightings

if TYPE_CHECKING:
    from goosed_daemon.otlp import Otlp

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Ports:
    """The ports that are listened on, known once they are; 0 for none."""

    main: int = 0
    boot: int = 0


@dataclass(frozen=True, slots=True)
class Deps:
    """The parts of a running daemon."""

    settings: Settings
    state: State
    tokens: Tokens
    places: Places
    agents: Agents
    catalog: Catalog
    profiles: Profiles
    telemetry: Telemetry
    strangers: Strangers
    sightings: Sightings
    clock: Callable[[], datetime]  # aware, UTC
    state_threads: Executor  # apart from the store's, so that neither waits for the other
    store_threads: Executor
    admin_threads: Executor  # whose work may take long, and must not hold up machines
    tls: ServerTls | None = None  # None: a lab
    otlp: Otlp | None = None  # None: no traces and no logs are sent
    authority_file: AuthorityFile = field(default_factory=AuthorityFile)
    ports: Ports = field(default_factory=Ports)

    def authority(self) -> str | None:
        """The authorities (PEM) that machines are to trust for what is served over HTTPS; None in
        a lab, and where there is no such file."""
        return self.authority_file.pem() if self.tls is not None else None

    async def join(self, find: Callable[[State, str], str | None], key: str) -> None:
        """Makes the request in hand part of the installation whose trace `find` finds by `key`;
        where nobody asks for traces, nothing is looked up."""
        span = CURRENT.get()
        if span is None:
            return
        with suppress(GooseError):  # the request itself will say so
            if trace := await self.in_state(find, self.state, key):
                span.join(trace)

    async def joined(
        self,
        find: Callable[[State, str], str | None],
        key: str,
        call: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """`join`, and then `in_state`, on one way to the state."""
        span = CURRENT.get()
        if span is None:
            return await self.in_state(call, *args, **kwargs)

        def both() -> T:
            with suppress(GooseError):
                if trace := find(self.state, key):
                    span.join(trace)
            return call(*args, **kwargs)

        return await self.in_state(both)

    async def in_state(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls something that blocks on the state."""
        return await _run(self.state_threads, call, *args, **kwargs)

    async def in_store(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls something that blocks on the store or on other files."""
        return await _run(self.store_threads, call, *args, **kwargs)

    async def in_admin(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls an operation of the administration, which blocks on state and store."""
        return await _run(self.admin_threads, call, *args, **kwargs)

    async def look(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls something that looks into the catalog and finds it in memory: at once, but for a
        remote store, where the look at the refs alone may wait for the network."""
        if self.catalog.store.remote:
            return await self.in_store(call, *args, **kwargs)
        return call(*args, **kwargs)


async def _run(threads: Executor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(threads, lambda: call(*args, **kwargs))


DEPS = web.AppKey("deps", Deps)


def address(request: web.Request) -> str:
    """The client's address, for the audit log."""
    return request.remote or "unknown"
