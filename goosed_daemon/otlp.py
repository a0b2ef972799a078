"""Spans, lines of the log and, where they are wanted this way, metrics for a collector, as
OpenTelemetry's messages (opentelemetry-proto 1).

The messages are made here, from what the daemon knows anyway, and not by OpenTelemetry's SDK: what
that does for each request cost as much as the request (docs/adr/0013-otlp-without-the-sdk.md). They
take a while to load, so this module is imported only where an endpoint is set.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from goosed_daemon import logs, otlp_metrics, tracing
from goosed_daemon.otlp_common import SCOPE, Value, new_pair, pair, resource
from goosed_daemon.otlp_sender import Collector, Post, Sender
from goosed_daemon.telemetry import Telemetry
from goosed_daemon.workflow.transition import Change

GRACE = 3.0  # seconds for what is left when the daemon stops
T = TypeVar("T")
Attributes = Mapping[str, Value]


class _Ended(NamedTuple):
    """A span. Times are nanoseconds since 1970."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    began: int
    ended: int
    attributes: Attributes
    failed: bool
    kind: Span.SpanKind.ValueType


class _Line(NamedTuple):
    """A line of the log."""

    at: int  # nanoseconds since 1970
    level: int
    told: Mapping[str, object]


class Otlp:
    """The way to one collector. `service` is the process's own name."""

    def __init__(self, collector: Collector, service: str, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        began = time.time_ns()

        def sender(signal: str, encode: Callable[[Sequence[T]], bytes]) -> Sender[T]:
            post = Post(collector, f"/v1/{signal}")
            return Sender(signal, post, encode, telemetry, post.close)

        self._spans = sender("traces", _traces)
        self._lines: Sender[_Line] = sender("logs", lambda lines: _logs(service, lines))
        self._metrics: Sender[otlp_metrics.Turn] = sender(
            "metrics", lambda turns: otlp_metrics.encode(turns[-1], service, began)
        )
        self.handler: logging.Handler = _Handler(self._lines)

    def request(
        self,
        service: str,
        name: str,
        span: tracing.Current,
        began: int,
        ended: int,
        attributes: Attributes,
        failed: bool,
    ) -> None:
        """Sends the span of a request that was answered."""
        self._send(
            service, name, span.trace, span.span, span.parent, began, ended, attributes, failed,
            Span.SPAN_KIND_SERVER,
        )  # fmt: skip

    def change(self, service: str, change: Change) -> None:
        """Sends a span for each step that a machine has left, and once it is at an end, the root
        span of its installation."""
        workflow, where = change.workflow, change.position
        about: dict[str, Value] = {"goose.mac": workflow.mac}
        about |= {"goose.machine": workflow.machine, "goose.profile": workflow.profile}
        root = tracing.root(workflow.trace)
        for left in change.left:
            # One step of one attempt has one span, however often it is told.
            span = tracing.root(f"{workflow.trace} {left.attempt} {left.step}")
            told = about | {"goose.attempt": left.attempt, "goose.outcome": left.outcome}
            self._send(
                service, left.step, workflow.trace, span, root, _ns(left.began_at),
                _ns(left.ended_at), told, left.outcome in ("failed", "timeout"),
            )  # fmt: skip
        if change.moved and where.state in ("ready", "failed", "cancelled"):
            told = about | {"goose.state": where.state, "goose.reason": where.reason}
            self._send(
                service, "installation", workflow.trace, root, "", _ns(workflow.began_at),
                _ns(where.since), told, where.state == "failed",
            )  # fmt: skip

    def metrics(self) -> None:
        """Sends all metrics as they are now."""
        if not self._metrics.full():
            self._metrics.put((time.time_ns(), list(self._telemetry.families())))

    def close(self) -> None:
        """Sends what is left, for a few seconds at most."""
        end = time.monotonic() + GRACE
        senders = (self._spans, self._lines, self._metrics)
        for sender in senders:
            sender.stop()
        for sender in senders:
            sender.close(end - time.monotonic())

    def _send(
        self,
        service: str,
        name: str,
        trace: str,
        span: str,
        parent: str,
        began: int,
        ended: int,
        attributes: Attributes,
        failed: bool,
        kind: Span.SpanKind.ValueType = Span.SPAN_KIND_INTERNAL,
    ) -> None:
        if self._spans.full():
            return
        ended = max(began, ended)
        self._spans.put(
            _Ended(service, name, trace, span, parent, began, ended, attributes, failed, kind)
        )


class _Handler(logging.Handler):
    """Sends each line of the log, with what the JSON on stderr says and no more."""

    def __init__(self, lines: Sender[_Line]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        if not self._lines.full():
            at = int(record.created * 1e9)
            self._lines.put(_Line(at, record.levelno, logs.entry(record)))


def _traces(spans: Sequence[_Ended]) -> bytes:
    message = ExportTraceServiceRequest()
    scopes = {}
    for ended in spans:
        if ended.service not in scopes:
            of = message.resource_spans.add(resource=resource(ended.service))
            scopes[ended.service] = of.scope_spans.add(scope=SCOPE)
        span = scopes[ended.service].spans.add(
            trace_id=bytes.fromhex(ended.trace),
            span_id=bytes.fromhex(ended.span),
            parent_span_id=bytes.fromhex(ended.parent),
            name=ended.name,
            kind=ended.kind,
            start_time_unix_nano=ended.began,
            end_time_unix_nano=ended.ended,
            attributes=[pair(key, value) for key, value in ended.attributes.items()],
        )
        if ended.failed:
            span.status.code = Status.STATUS_CODE_ERROR
    return bytes(message.SerializeToString())


def _logs(service: str, lines: Sequence[_Line]) -> bytes:
    message = ExportLogsServiceRequest()
    of = message.resource_logs.add(resource=resource(service))
    records = of.scope_logs.add(scope=SCOPE).log_records
    for at, level, told in lines:
        number, name = _SEVERITY.get(level, _SEVERITY[logging.INFO])
        record = records.add(
            time_unix_nano=at,
            observed_time_unix_nano=at,
            severity_number=number,
            severity_text=name,
            body=AnyValue(string_value=str(told["message"])),
            trace_id=bytes.fromhex(str(told.get("trace_id", ""))),
            span_id=bytes.fromhex(str(told.get("span_id", ""))),
            attributes=[
                (new_pair if key in _NEW else pair)(
                    key, value if isinstance(value, str | int | float) else str(value)
                )
                for key, value in told.items()
                if key not in _ELSEWHERE
            ],
        )
        if record.trace_id:
            record.flags = 1  # sampled
    return bytes(message.SerializeToString())


_NEW = {"id", "target", "seconds", "exception"}  # fields that hardly ever are the same again
_ELSEWHERE = {"time", "message", "trace_id", "span_id"}
_SEVERITY = {
    logging.DEBUG: (SeverityNumber.SEVERITY_NUMBER_DEBUG, "DEBUG"),
    logging.INFO: (SeverityNumber.SEVERITY_NUMBER_INFO, "INFO"),
    logging.WARNING: (SeverityNumber.SEVERITY_NUMBER_WARN, "WARNING"),
    logging.ERROR: (SeverityNumber.SEVERITY_NUMBER_ERROR, "ERROR"),
    logging.CRITICAL: (SeverityNumber.SEVERITY_NUMBER_FATAL, "CRITICAL"),
}


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1e9)
