"""Sends what waits in the outbox to NATS JetStream, for as long as the daemon runs.

NATS that is down holds nothing up: what waits stays in the state, and is sent when it is back. The
server drops what it was sent before by the id of the message (`Nats-Msg-Id`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError

from bundles.errors import GooseError
from goosed_daemon import events, outbox
from goosed_daemon.nats_address import NatsAddress
from goosed_daemon.outbox import Message
from goosed_daemon.telemetry import EVENTS_SENT, OUTBOX_AGE, OUTBOX_DEPTH
from goosed_daemon.web.deps import Deps

log = logging.getLogger("goosed.events")

STREAM = "GOOSE"
SUBJECTS = "goose.>"
DUPLICATES = 2 * 60 * 60  # seconds that the server is asked to remember ids for
IDLE = 0.5  # seconds between two looks at an empty outbox
_TIMEOUT = 5.0  # seconds that the server has for its word
_CLOSE = 1.0  # seconds for the end of a connection
_RETRY = (1.0, 2.0, 5.0, 10.0)  # seconds between attempts while it is down


class Publisher:
    """Publishes until it is cancelled. `site` gives the site's name; None while it is not known."""

    def __init__(
        self, deps: Deps, address: NatsAddress, site: Callable[[], Awaitable[str | None]]
    ) -> None:
        self._deps = deps
        self._address = address
        self._site = site
        self._failures = 0

    async def run(self) -> None:
        """Runs for good. A fault is told once, and tried again."""
        while True:
            try:
                async with self._connected() as stream:
                    while True:
                        if not await self._batch(stream):
                            await asyncio.sleep(IDLE)
            except (NatsError, OSError, TimeoutError, GooseError) as error:
                if not self._failures:
                    # Not the error's own words alone: nats-py may name the server with its secret.
                    log.warning(
                        "events wait until NATS takes them",
                        extra={"fields": {"why": _words(error)}},
                    )
                wait = _RETRY[min(self._failures, len(_RETRY) - 1)]
                self._failures += 1
                await self._measure()
                await asyncio.sleep(wait)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[JetStreamContext]:
        """A connection, with the stream there. It is not mended but made anew when it breaks, so
        that there is one way of failing."""
        faults: list[Exception] = []

        async def keep(fault: Exception) -> None:
            faults[:] = [fault]  # nats-py tells here why, and raises only that it is so

        client = _Client()
        connecting = client.connect(
            **self._address.options(),
            name="goosed",
            allow_reconnect=False,
            max_reconnect_attempts=1,  # it counts the first as one
            reconnect_time_wait=0,
            error_cb=keep,
        )
        try:
            try:
                await asyncio.wait_for(connecting, _TIMEOUT)
            except (NatsError, OSError, TimeoutError) as error:
                raise faults[0] if faults else error from error
            stream = client.jetstream(timeout=_TIMEOUT)
            try:
                await stream.stream_info(STREAM)
            except NotFoundError:
                await stream.add_stream(
                    StreamConfig(
                        name=STREAM, subjects=[SUBJECTS], duplicate_window=float(DUPLICATES)
                    )
                )
            yield stream
        finally:
            # After a handshake that failed nats-py would wait for good for the end of a connection.
            with suppress(NatsError, OSError, TimeoutError):
                await asyncio.wait_for(client.close(), _CLOSE)

    async def _batch(self, stream: JetStreamContext) -> bool:
        """Sends a batch; whether there was one. What the server has acknowledged is forgotten,
        what it has not is given back."""
        deps = self._deps
        await self._measure()
        site = await self._site()
        if site is None:
            return False
        messages = await deps.in_state(outbox.take, deps.state, deps.clock())
        if not messages:
            return False
        told = await asyncio.gather(
            *(self._send(stream, site, message) for message in messages), return_exceptions=True
        )
        faults = [fault for fault in told if isinstance(fault, BaseException)]
        done = [m.id for m, fault in zip(messages, told, strict=True) if fault is None]
        back = [m.id for m, fault in zip(messages, told, strict=True) if fault is not None]
        await deps.in_state(outbox.delivered, deps.state, done)
        await deps.in_state(outbox.release, deps.state, back, deps.clock())
        deps.telemetry.count(EVENTS_SENT, by=len(done))
        if faults:
            raise faults[0]
        if self._failures:
            log.info("events are sent again")
            self._failures = 0
        return True

    async def _send(self, stream: JetStreamContext, site: str, message: Message) -> None:
        await stream.publish(
            events.subject(site, message),
            events.envelope(site, message),
            stream=STREAM,
            headers={"Nats-Msg-Id": message.message, "Content-Type": events.CONTENT_TYPE},
        )

    async def _measure(self) -> None:
        deps = self._deps
        with suppress(GooseError):
            depth = await deps.in_state(outbox.depth, deps.state)
            age = 0.0 if depth.oldest is None else (deps.clock() - depth.oldest).total_seconds()
            deps.telemetry.set(OUTBOX_DEPTH, depth.messages)
            deps.telemetry.set(OUTBOX_AGE, max(0.0, age))


class NoTls(NatsError):
    """The server does not do what the settings ask of it."""

    def __str__(self) -> str:
        return "the server offers no TLS, and is told nothing without"


class _Client(Client):
    """Where TLS is wanted there is TLS, or no connection.

    nats-py goes by the server's greeting alone, which is not encrypted: whoever sits on the wire
    could leave TLS out of it, and would be told the token. The greeting is looked at before
    anything is sent; `tls_available` of it means that TLS is the client's choice.
    """

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and "tls" in self.options:
            if not (info.get("tls_required") or info.get("tls_available")):
                raise NoTls
            info["tls_required"] = True
        await super()._process_info(info, initial_connection)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
