"""Spans and logs by OTLP over HTTP to a collector (OpenTelemetry protocol 1, "OTLP/HTTP").

Nothing waits for the collector: what is to be sent stands in a bounded queue, a thread sends it,
and what finds no room or no collector is lost and counted. The libraries take a quarter of a second
to load, so this module is imported only where an endpoint is set.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from bundles import __version__
from goosed_daemon import logs, tracing
from goosed_daemon.telemetry import EXPORTS, Telemetry
from goosed_daemon.workflow.transition import Change

log = logging.getLogger("goosed.otlp")

_TIMEOUT = 3.0  # seconds for one batch, its repetitions among them
_GRACE = 3.0  # seconds for what is left when the daemon stops
_QUEUE, _BATCH = 4096, 512  # spans, or lines
_DELAY = 1000  # milliseconds at most from an event to its sending
_SCOPE = InstrumentationScope("goose", __version__)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
# Loggers of what sends the logs: their lines, sent, would make more of them.
_OWN = ("opentelemetry", "urllib3", "requests", "goosed.otlp")

Attributes = Mapping[str, str | int | float | bool]


class Otlp:
    """The way to one collector."""

    def __init__(self, endpoint: str, service: str, telemetry: Telemetry) -> None:
        self._resources: dict[str, Resource] = {}
        self._spans = BatchSpanProcessor(
            _CountedSpans(telemetry, endpoint=f"{endpoint}/v1/traces", timeout=_TIMEOUT),
            max_queue_size=_QUEUE,
            max_export_batch_size=_BATCH,
            schedule_delay_millis=_DELAY,
        )
        self._provider = LoggerProvider(self._resource(service), shutdown_on_exit=False)
        self._provider.add_log_record_processor(
            BatchLogRecordProcessor(
                _CountedLogs(telemetry, endpoint=f"{endpoint}/v1/logs", timeout=_TIMEOUT),
                max_queue_size=_QUEUE,
                max_export_batch_size=_BATCH,
                schedule_delay_millis=_DELAY,
            )
        )
        self.handler: logging.Handler = _Handler(self._provider)
        for name in _OWN:  # `goosed_telemetry_exports_total` tells it, without a line a second
            logging.getLogger(name).setLevel(logging.CRITICAL)

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
        """Sends the span of a request that was answered. Times are nanoseconds since 1970."""
        self._send(
            service, name, span.trace, span.span, span.parent, began, ended, attributes, failed,
            SpanKind.SERVER,
        )  # fmt: skip

    def change(self, service: str, change: Change) -> None:
        """Sends a span for each step that a machine has left, and once it is at an end, the root
        span of its installation."""
        workflow, where = change.workflow, change.position
        about: dict[str, str | int | float | bool] = {"goose.mac": workflow.mac}
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

    def close(self) -> None:
        """Sends what is left, for a few seconds at most."""
        threads = [
            threading.Thread(target=end, daemon=True)
            for end in (self._spans.shutdown, self._provider.shutdown)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_GRACE)

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
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        self._spans.on_end(
            ReadableSpan(
                name,
                context=_context(trace, span),
                parent=_context(trace, parent) if parent else None,
                resource=self._resource(service),
                attributes=attributes,
                kind=kind,
                status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
                start_time=began,
                end_time=max(began, ended),
                instrumentation_scope=_SCOPE,
            )
        )

    def _resource(self, service: str) -> Resource:
        if service not in self._resources:
            about = {"service.name": service, "service.version": __version__}
            self._resources[service] = Resource(about)
        return self._resources[service]


class _Handler(logging.Handler):
    """Sends each line of the log, with what the JSON on stderr says and no more."""

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._logger = provider.get_logger("goose", __version__)

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(_OWN):
            return
        entry = logs.entry(record)
        trace, span = entry.pop("trace_id", None), entry.pop("span_id", None)
        message = entry.pop("message")
        del entry["time"]
        self._logger.emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                observed_timestamp=int(record.created * 1e9),
                trace_id=int(str(trace), 16) if trace else None,
                span_id=int(str(span), 16) if span else None,
                trace_flags=_SAMPLED,
                severity_text=record.levelname,
                severity_number=_SEVERITY.get(record.levelno, SeverityNumber.INFO),
                body=str(message),
                attributes={key: _plain(value) for key, value in entry.items()},
            )
        )


class _CountedSpans(OTLPSpanExporter):
    """Counts what was sent, and what was lost."""

    def __init__(self, telemetry: Telemetry, **more: Any) -> None:
        super().__init__(**more)
        self._telemetry = telemetry

    def export(self, spans: Any) -> SpanExportResult:
        result = super().export(spans)
        sent = result is SpanExportResult.SUCCESS
        self._telemetry.count(EXPORTS, "traces", "sent" if sent else "lost", by=len(spans))
        return result


class _CountedLogs(OTLPLogExporter):
    """The same of lines."""

    def __init__(self, telemetry: Telemetry, **more: Any) -> None:
        super().__init__(**more)
        self._telemetry = telemetry

    def export(self, batch: Any) -> LogRecordExportResult:
        result = super().export(batch)
        sent = result is LogRecordExportResult.SUCCESS
        self._telemetry.count(EXPORTS, "logs", "sent" if sent else "lost", by=len(batch))
        return result


_SEVERITY = {
    logging.DEBUG: SeverityNumber.DEBUG,
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
    logging.CRITICAL: SeverityNumber.FATAL,
}


def _plain(value: object) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else str(value)


def _context(trace: str, span: str) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=_SAMPLED)


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1e9)
