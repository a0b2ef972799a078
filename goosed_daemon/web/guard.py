"""What stands between a socket and the HTTP server: bounds on time and on numbers.

aiohttp waits for a request's head as long as a client likes, so that a few hundred idle sockets
could keep everybody else out. Here a head, and on a TLS listener the handshake, has to be there in
time; a client that takes nothing of its answer for long is cut off by the kernel; and there is a
most of connections.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from aiohttp import web

HEAD_SECONDS = 20.0  # from the first byte of a request, or from connecting, to the end of its head
BODY_SECONDS = 20.0  # from the end of the head to that of the body, which is small on every route
STALLED_SECONDS = 120  # in which a client must take something of what it was sent
HANDSHAKE_SECONDS = 20.0


class Doorman:
    """The connections of one listener, at most `most` at a time."""

    def __init__(self, server: Callable[[], asyncio.Protocol], most: int) -> None:
        self._server = server
        self._most = most
        self.open = 0

    def __call__(self) -> asyncio.Protocol:
        """A factory of protocols, as `create_server` takes it."""
        return Guard(self, self._server)

    @property
    def full(self) -> bool:
        """Whether one more is too many."""
        return self.open >= self._most


class Guard(asyncio.Protocol):
    """One connection: hands everything to aiohttp's protocol, and watches the time."""

    def __init__(self, doorman: Doorman, server: Callable[[], asyncio.Protocol]) -> None:
        self._doorman = doorman
        self._server = server
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport) or self._doorman.full:
            transport.close()
            return
        self._doorman.open += 1
        self._transport = transport
        _bound(transport.get_extra_info("socket"))
        self._inner = self._server()
        self._inner.connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        if self._inner is not None:
            self._wait()
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner is not None else None

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        if self._inner is not None:
            self._doorman.open -= 1
            self._inner.connection_lost(exc)
            self._inner = None

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def begin(self) -> None:
        """A request's head is there: its handler has begun."""
        self._busy = True
        self._stop()

    def end(self) -> None:
        """The handler is done; between two requests aiohttp keeps the time."""
        self._busy = False

    def _wait(self) -> None:
        if not self._busy and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(HEAD_SECONDS, self._too_slow)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self._transport is not None:
            self._transport.abort()


def of(request: web.Request) -> Guard | None:
    """The guard of the connection that `request` came by; None where it is gone."""
    if request.transport is None:
        return None
    found = request.transport.get_protocol()
    return found if isinstance(found, Guard) else None


def _bound(connection: Any) -> None:
    """Has the kernel end a connection whose peer takes nothing any more, or is gone (tcp(7)).

    TCP_USER_TIMEOUT also counts while the peer's window stays shut, so that a client that never
    reads what it asked for holds a blob open no longer than that.
    """
    if not isinstance(connection, socket.socket) and not hasattr(connection, "setsockopt"):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        timeout = STALLED_SECONDS * 1000
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout)
