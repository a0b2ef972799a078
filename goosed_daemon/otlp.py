"""Spans, lines of the log and, where they are wanted this way, metrics for a collector, as
OpenTelemetry's messages (opentelemetry-proto 1).

The messages are made here, from what the daemon knows anyway, and not by OpenTelemetry's SDK: what
that does for each request cost as much as the request (docs/adr/0013-otlp-without-the-sdk.md). They
take a while to load, so this module is imported only where an endpoint is set.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, TypeVar

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from goosed_daemon import logs, otlp_metrics, otlp_wire, tracing
from goosed_daemon.otlp_common import Value
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
    told: dict[str, list[bytes]] = {}
    for ended in spans:
        told.setdefault(ended.service, []).append(_span(ended))
    return otlp_wire.request(told.items())


def _span(ended: _Ended) -> bytes:
    parts = [
        _SPAN.pack(
            *(_TRACE, bytes.fromhex(ended.trace), _SPAN_ID, bytes.fromhex(ended.span)),
            *(_BEGAN, ended.began, _ENDED, ended.ended),
        ),
        _span_of(ended.name, ended.kind, ended.failed, tuple(ended.attributes.items())),
    ]
    if ended.parent:
        parts.append(otlp_wire.field(4, bytes.fromhex(ended.parent)))
    return b"".join(parts)


# trace_id and span_id, start_time_unix_nano and end_time_unix_nano, each behind its tag.
_SPAN = struct.Struct("<2s16s2s8sBQBQ")
_TRACE, _SPAN_ID, _BEGAN, _ENDED = b"\x0a\x10", b"\x12\x08", 7 << 3 | 1, 8 << 3 | 1


@lru_cache(1024)
def _span_of(
    name: str,
    kind: Span.SpanKind.ValueType,
    failed: bool,
    attributes: tuple[tuple[str, Value], ...],
) -> bytes:
    status = Status(code=Status.STATUS_CODE_ERROR) if failed else None
    told = [otlp_wire.attribute(9, key, value) for key, value in attributes]
    return b"".join([Span(name=name, kind=kind, status=status).SerializeToString(), *told])


def _logs(service: str, lines: Sequence[_Line]) -> bytes:
    return otlp_wire.request([(service, map(_record, lines))])


def _record(line: _Line) -> bytes:
    at, level, told = line
    parts = [_RECORD.pack(_AT, at, _OBSERVED, at), _record_of(level, str(told["message"]))]
    for key, value in told.items():
        if key in _ELSEWHERE:
            continue
        known: Value = value if isinstance(value, str | int | float) else str(value)
        make = otlp_wire.new_attribute if key in _NEW else otlp_wire.attribute
        parts.append(make(6, key, known))
    for number, name in ((9, "trace_id"), (10, "span_id")):
        if name in told:
            parts.append(otlp_wire.field(number, bytes.fromhex(str(told[name]))))
    if "trace_id" in told:
        parts.append(_SAMPLED)
    return b"".join(parts)


# time_unix_nano and observed_time_unix_nano, each behind its tag; flags.
_RECORD = struct.Struct("<BQBQ")
_AT, _OBSERVED = 1 << 3 | 1, 11 << 3 | 1
_SAMPLED = struct.pack("<BI", 8 << 3 | 5, 1)


@lru_cache(1024)
def _record_of(level: int, message: str) -> bytes:
    number, name = _SEVERITY.get(level, _SEVERITY[logging.INFO])
    told = message.encode(errors="backslashreplace").decode()
    body = AnyValue(string_value=told)
    record = LogRecord(severity_number=number, severity_text=name, body=body)
    return bytes(record.SerializeToString())


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
