"""Every metric of the daemon, declared once.

docs/metrics.md is generated from the table below. Label values are few by construction: route
templates instead of paths, reason codes instead of messages, never a token, and a machine only
where a metric is of machines that enrolled, whose number is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import exposition as openmetrics

# Seconds. Fixed by the dashboards and alerts that read them.
HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
# Seconds. Steps take from a moment to hours.
STEP_BUCKETS = (1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table."""

    name: str
    kind: type[Counter | Gauge | Histogram]
    labels: tuple[str, ...]
    text: str
    buckets: tuple[float, ...] = ()


HTTP_DURATION = Metric(
    "http_server_duration_seconds",
    Histogram,
    ("service", "method", "route", "status_code"),
    "Time from a request's headers to the last byte of its response.",
    HTTP_BUCKETS,
)
BOOT_SCRIPTS = Metric(
    "goosed_boot_scripts_total",
    Counter,
    ("outcome",),
    "Boot scripts served: `install`, or the reason code for which the machine boots its disk.",
)
TOKENS = Metric(
    "goosed_tokens_total",
    Counter,
    ("outcome", "reason"),
    "Boot tokens `issued`, `offered` again, `claimed`, `replayed` within the window, and `refused`"
    " with their reason code.",
)
PROGRESS = Metric(
    "goosed_install_reports_total",
    Counter,
    ("step",),
    "Reports of installers about their progress.",
)
AGENT_ENROLMENTS = Metric(
    "goosed_agent_enrolments_total",
    Counter,
    ("outcome",),
    "Agents `enrolled`, answers `retold` because they were lost, and refusals by reason code.",
)
AGENT_HEARTBEATS = Metric(
    "goosed_agent_heartbeats_total",
    Counter,
    ("outcome",),
    "Agents `seen`, and refusals by reason code.",
)
AGENT_REFRESHES = Metric(
    "goosed_agent_refreshes_total",
    Counter,
    ("outcome",),
    "Tokens of agents `refreshed`, answers `retold` because they were lost, and refusals by reason"
    " code; `agent-token-ended` means that a token was re-used.",
)
AGENT_LAST_SEEN = Metric(
    "goosed_agent_last_seen_timestamp_seconds",
    Gauge,
    ("machine",),
    "When a machine's agent was seen last, in Unix time, by any replica: the 20,000 newest of the"
    " last 30 days. The machine is named as its profile does, or else by its MAC.",
)
STORE_BYTES = Metric(
    "goosed_store_bytes_total",
    Counter,
    ("backend", "operation"),
    "Bytes of content sent from a store; `cached` came from memory.",
)
STORE_SECONDS = Metric(
    "goosed_store_operation_seconds",
    Histogram,
    ("backend", "operation"),
    "Time that a store took to open a file's blobs.",
    HTTP_BUCKETS,
)
PROFILES_VALID = Metric(
    "goosed_profiles_valid",
    Gauge,
    (),
    "1 while the infra profiles are valid, 0 while a mistake in them stops machines.",
)
WORKFLOW_STEP = Metric(
    "goosed_workflow_step_duration_seconds",
    Histogram,
    ("step", "outcome"),
    "How long machines were in a step of their installation: `done`, or how it ended otherwise"
    " (`failed`, `timeout`, `cancelled`, `restarted`).",
    STEP_BUCKETS,
)
WORKFLOWS = Metric(
    "goosed_workflows",
    Gauge,
    ("state",),
    "Machines by the state of their installation: `running`, `ready`, `failed`, `cancelled`.",
)
PLACES_TAKEN = Metric(
    "goosed_install_places_taken",
    Gauge,
    (),
    "Machines that install now: offered a boot token and not yet installed. `installs_at_once`"
    " limits them.",
)
INSTALLS_WAITING = Metric(
    "goosed_install_queue_machines",
    Gauge,
    (),
    "Machines that wait for their turn to install.",
)
ORCHESTRATOR_LAG = Metric(
    "goosed_orchestrator_lag_seconds",
    Gauge,
    (),
    "Age of the oldest observation that the last turn of this orchestrator took up.",
)
OUTBOX_DEPTH = Metric(
    "goosed_outbox_messages",
    Gauge,
    (),
    "Events that wait to be sent.",
)
OUTBOX_AGE = Metric(
    "goosed_outbox_age_seconds",
    Gauge,
    (),
    "How long the oldest event has waited to be sent; 0 when none waits.",
)
EVENTS_SENT = Metric(
    "goosed_events_sent_total",
    Counter,
    (),
    "Events that NATS has acknowledged.",
)
CERTIFICATE_END = Metric(
    "goosed_tls_certificate_expiry_timestamp_seconds",
    Gauge,
    (),
    "When the certificate that is served with ends, in seconds since 1970; 0 in a lab.",
)
CERTIFICATE_LOADS = Metric(
    "goosed_tls_certificate_loads_total",
    Counter,
    ("outcome",),
    "Certificates taken while serving: `loaded`, or `refused` where the old one stayed.",
)

BUILD_INFO = Metric(
    "goosed_build_info",
    Gauge,
    ("version", "service"),
    "1, with the version of the process and its own name.",
)
LOOP_LAG = Metric(
    "goosed_event_loop_lag_seconds",
    Histogram,
    (),
    "How much later than asked for the event loop woke, looked at each second: what every request"
    " waits for at least.",
    HTTP_BUCKETS,
)
DB_CONNECTIONS = Metric(
    "goosed_db_connections",
    Gauge,
    ("state",),
    "Connections to PostgreSQL: `open`, `idle` among them, and `wanted` by callers that wait. None"
    " with SQLite.",
)
BUNDLE_VERSIONS = Metric(
    "goosed_bundle_versions",
    Gauge,
    (),
    "Versions of bundles that the store holds.",
)
LAST_IMPORT = Metric(
    "goosed_last_import_timestamp_seconds",
    Gauge,
    (),
    "When a bundle was imported last, in Unix time; 0 for never.",
)

EXPORTS = Metric(
    "goosed_telemetry_exports_total",
    Counter,
    ("signal", "outcome"),
    "Spans (`traces`), lines (`logs`) and turns of pushed `metrics` that were `sent` to the"
    " collector, and `lost` since it did not take them or the queue was full.",
)

METRICS = (
    HTTP_DURATION,
    BOOT_SCRIPTS,
    TOKENS,
    PROGRESS,
    AGENT_ENROLMENTS,
    AGENT_HEARTBEATS,
    AGENT_REFRESHES,
    AGENT_LAST_SEEN,
    STORE_BYTES,
    STORE_SECONDS,
    PROFILES_VALID,
    WORKFLOW_STEP,
    WORKFLOWS,
    PLACES_TAKEN,
    INSTALLS_WAITING,
    ORCHESTRATOR_LAG,
    OUTBOX_DEPTH,
    OUTBOX_AGE,
    EVENTS_SENT,
    CERTIFICATE_END,
    CERTIFICATE_LOADS,
    BUILD_INFO,
    LOOP_LAG,
    DB_CONNECTIONS,
    BUNDLE_VERSIONS,
    LAST_IMPORT,
    EXPORTS,
)


class Telemetry:
    """The metrics of one daemon, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._registry = CollectorRegistry() if registry is None else registry
        self._metrics: dict[str, Any] = {}
        self._children: dict[tuple[str, tuple[str, ...]], Any] = {}
        for metric in METRICS:
            more: dict[str, Any] = {"buckets": metric.buckets} if metric.buckets else {}
            self._metrics[metric.name] = metric.kind(
                metric.name, metric.text, metric.labels, registry=self._registry, **more
            )

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Adds `by` to a counter."""
        self._child(metric, labels).inc(by)

    def observe(
        self, metric: Metric, seconds: float, *labels: str, trace: str | None = None
    ) -> None:
        """Adds an observation to a histogram; `trace`, a W3C trace id, is its exemplar."""
        exemplar = {"trace_id": trace} if trace else None
        self._child(metric, labels).observe(seconds, exemplar)

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Sets a gauge."""
        self._child(metric, labels).set(value)

    def replace(self, metric: Metric, values: Mapping[str, float]) -> None:
        """Sets all there is of a gauge with one label: what `values` lacks is gone from it."""
        gauge = self._metrics[metric.name]
        gauge.clear()
        for label, value in values.items():
            gauge.labels(label).set(value)

    def families(self) -> Iterable[Family]:
        """All metrics, as prometheus_client has them."""
        return self._registry.collect()

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics and their content type: in the text format of OpenMetrics where `accept`,
        the header, asks for it, which alone has exemplars; else in that of Prometheus."""
        if "application/openmetrics-text" in accept:
            text: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
            return text, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def _child(self, metric: Metric, labels: tuple[str, ...]) -> Any:
        # A dictionary look-up is several times faster than labels(), which locks.
        key = (metric.name, labels)
        child = self._children.get(key)
        if child is None:
            parent = self._metrics[metric.name]
            child = self._children[key] = parent.labels(*labels) if labels else parent
        return child


def reference() -> str:
    """docs/metrics.md."""
    rows = []
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
        kind = metric.kind.__name__.lower()
        rows.append(f"| `{metric.name}` | {kind} | {labels} | {metric.text} |")
    http, steps = (
        ", ".join(f"{bucket:g}" for bucket in buckets) for buckets in (HTTP_BUCKETS, STEP_BUCKETS)
    )
    return _PAGE.format(rows="\n".join(rows), http=http, steps=steps)


_PAGE = """\
# Metrics

Generated from `goosed_daemon/telemetry.py`; do not edit.

`GET /metrics` gives them in the text format of Prometheus, or of OpenMetrics, with exemplars, where
that is asked for. `service` is `goosed-bootd` for the
routes that machines boot from and for all that comes to the boot listener, `goosed-agents` for the
routes of agents, and else the name of the process ([roles](roles.md));
`route` is the route's template, never the path that was asked for, and `unmatched` for paths that
no route has.

| name | kind | labels | what it says |
|---|---|---|---|
{rows}

Histogram buckets, in seconds: {http}; of `goosed_workflow_step_duration_seconds`: {steps}.
"""
