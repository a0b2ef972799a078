"""Sends one kind of thing to a collector by OTLP over HTTP (OpenTelemetry protocol 1, "OTLP/HTTP").

Nothing waits for the collector: what is to be sent stands in a bounded queue, and one thread sends
it. What finds no room there, or no collector, is lost and counted. A collector that fails is asked
again ever more seldom, so that one that is away costs next to nothing.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from goosed_daemon.errors import BadSetting
from goosed_daemon.telemetry import EXPORTS, Telemetry

log = logging.getLogger("goosed")
T = TypeVar("T")

TIMEOUT = 3.0  # seconds for a connection, and for each answer
QUEUE = 4096  # things that wait at most
_BATCH = 256  # few enough that encoding them holds up nobody for long
_DELAY = 1.0  # seconds at most from an event to its sending
_LONGEST = 15.0  # seconds between two tries while the collector is away


@dataclass(frozen=True, slots=True)
class Collector:
    """Where a collector is, and how it is spoken to."""

    endpoint: str  # http:// or https://, as of the setting
    ca: Path | None = None  # authorities in PEM; None: the system's
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a secret

    def context(self) -> ssl.SSLContext | None:
        """For TLS; None without. Raises `BadSetting`."""
        if not self.endpoint.startswith("https:"):
            return None
        try:
            return ssl.create_default_context(cafile=self.ca)
        except OSError as error:  # ssl.SSLError is one
            raise BadSetting(
                f"OTEL_EXPORTER_OTLP_CERTIFICATE: {self.ca} has no authorities: {error}",
                hint="give a PEM file of the authorities that signed the collector's certificate",
                setting="otlp_ca",
            ) from error


class Post:
    """One connection to a collector's path, opened when there is something to send."""

    def __init__(self, collector: Collector, path: str) -> None:
        url = urlsplit(collector.endpoint)
        self._path = f"{url.path}{path}"
        self._headers = {"Content-Type": "application/x-protobuf", **collector.headers}
        context, host = collector.context(), url.hostname or ""
        self._connection = (
            http.client.HTTPConnection(host, url.port, timeout=TIMEOUT)
            if context is None
            else http.client.HTTPSConnection(host, url.port, timeout=TIMEOUT, context=context)
        )

    def __call__(self, body: bytes) -> bool:
        """Sends it; returns whether it was taken."""
        # A collector may close what has been idle; the request is then sent on a new connection.
        for _ in range(2 if self._connection.sock is not None else 1):
            try:
                self._connection.request("POST", self._path, body, self._headers)
                response = self._connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if isinstance(error, TimeoutError):
                    return False
                continue
            return 200 <= response.status < 300
        return False

    def close(self) -> None:
        """Ends the connection, if there is one."""
        self._connection.close()


class Sender(Generic[T]):
    """The queue of one signal, and its thread, which calls `done` at its end."""

    def __init__(
        self,
        signal: str,
        post: Callable[[bytes], bool],
        encode: Callable[[Sequence[T]], bytes],
        telemetry: Telemetry,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self._signal, self._post, self._encode = signal, post, encode
        self._telemetry, self._done = telemetry, done
        self._queue: deque[T] = deque()
        self._wake = threading.Event()  # a batch is full
        self._end = threading.Event()
        self._away = 0.0  # seconds to wait before the next try; 0 while the collector answers
        self._thread = threading.Thread(target=self._run, name=f"otlp {signal}", daemon=True)
        self._thread.start()

    def full(self) -> bool:
        """Whether there is no room; then what would have stood there is counted as lost."""
        if len(self._queue) < QUEUE:
            return False
        self._lost(1)
        return True

    def put(self, thing: T) -> None:
        """Leaves it to be sent; `full` was asked before. Any thread may."""
        self._queue.append(thing)
        if len(self._queue) >= _BATCH and not self._wake.is_set():
            self._wake.set()

    def stop(self) -> None:
        """Has the thread send what is left, and end."""
        self._end.set()
        self._wake.set()

    def close(self, seconds: float) -> None:
        """Gives it so long for that; what then remains is lost."""
        self.stop()
        self._thread.join(max(0.0, seconds))
        self._lost(len(self._queue))

    def _run(self) -> None:
        while not self._end.is_set():
            if self._away:
                self._end.wait(self._away)
                least = 1
            else:
                # Woken for a batch, whatever came since waits for the next: small ones cost more.
                least = _BATCH if self._wake.wait(_DELAY) else 1
            self._wake.clear()
            while len(self._queue) >= least and self._send():
                continue
        while self._queue and self._send():  # once more: it may be back
            continue
        self._done()

    def _send(self) -> bool:
        """One batch; returns whether it was taken."""
        batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
        try:
            body = self._encode(batch)
        except Exception:  # whatever it is, these must not be the last that are sent
            log.exception(
                "not sent: no message can hold it", extra={"fields": {"signal": self._signal}}
            )
            self._lost(len(batch))
            return True
        taken = self._post(body)
        if taken:
            self._away = 0.0
            self._telemetry.count(EXPORTS, self._signal, "sent", by=len(batch))
        else:
            self._away = min(_LONGEST, 2 * self._away or 1.0)
            self._lost(len(batch))
        return taken

    def _lost(self, count: int) -> None:
        if count:
            self._telemetry.count(EXPORTS, self._signal, "lost", by=count)
