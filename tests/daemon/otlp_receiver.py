"""A receiver of OTLP over HTTP that keeps what it is sent, read by OpenTelemetry's own messages."""

from __future__ import annotations

import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Received:
    """What came, each with the service that sent it."""

    url: str = ""
    spans: list[tuple[str, Any]] = field(default_factory=list)
    lines: list[tuple[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)  # by name, one for each turn
    headers: list[dict[str, str]] = field(default_factory=list)

    def until(self, there: Callable[[], bool], seconds: float = 15) -> None:
        """Waits until it has come."""
        end = time.monotonic() + seconds
        while not there():
            assert time.monotonic() < end, [span.name for _, span in self.spans]
            time.sleep(0.05)

    def named(self, name: str) -> list[Any]:
        """The spans of this name."""
        return [span for _, span in self.spans if span.name == name]


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Received]:
    """A receiver on a free port."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = zlib.decompress(body, 31)
            received.headers.append(dict(self.headers))
            if self.path == "/v1/metrics":
                for of in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    for scope in of.scope_metrics:
                        received.metrics.append({metric.name: metric for metric in scope.metrics})
            elif self.path == "/v1/traces":
                for of in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in of.scope_spans:
                        received.spans += [(_service(of), span) for span in scope.spans]
            else:
                for of in ExportLogsServiceRequest.FromString(body).resource_logs:
                    for scope in of.scope_logs:
                        received.lines += [(_service(of), line) for line in scope.log_records]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    received.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()


def attributes(record: Any) -> dict[str, Any]:
    """The attributes of a span or line as Python has them."""
    kinds = ("string_value", "int_value", "double_value", "bool_value")
    return {
        pair.key: next(getattr(pair.value, kind) for kind in kinds if pair.value.HasField(kind))
        for pair in record.attributes
    }


def _service(of: Any) -> str:
    told = {pair.key: pair.value.string_value for pair in of.resource.attributes}
    return told["service.name"]
