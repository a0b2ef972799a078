"""Metrics as OpenTelemetry's messages, for who wants them pushed: the very ones that are scraped.

Scraping is the way that is shipped; who does both counts everything twice, so it is a setting.
"""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric as Message
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from goosed_daemon.otlp_common import SCOPE, pair, resource

_CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


Turn = tuple[int, list[Family]]  # when, in nanoseconds since 1970, and all there was then


def encode(turn: Turn, service: str, began: int) -> bytes:
    """What had been counted since `began`, in nanoseconds since 1970."""
    now, families = turn
    message = ExportMetricsServiceRequest()
    of = message.resource_metrics.add(resource=resource(service))
    metrics = of.scope_metrics.add(scope=SCOPE).metrics
    for family in families:
        if family.type == "counter":
            # The name that a scrape gives it; a collector adds no second ending.
            told = metrics.add(name=f"{family.name}_total", description=family.documentation)
            told.sum.aggregation_temporality = _CUMULATIVE
            told.sum.is_monotonic = True
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    told.sum.data_points.add(
                        attributes=_labels(sample),
                        start_time_unix_nano=began,
                        time_unix_nano=now,
                        as_double=sample.value,
                    )
        elif family.type == "gauge":
            told = metrics.add(name=family.name, description=family.documentation)
            for sample in family.samples:
                told.gauge.data_points.add(
                    attributes=_labels(sample), time_unix_nano=now, as_double=sample.value
                )
        elif family.type == "histogram":
            told = metrics.add(name=family.name, description=family.documentation)
            told.histogram.aggregation_temporality = _CUMULATIVE
            _histogram(told, family.samples, began, now)
    return bytes(message.SerializeToString())


def _histogram(told: Message, samples: Iterable[Sample], began: int, now: int) -> None:
    """The samples of one child follow one another: buckets upwards, then the sum."""
    bounds: list[float] = []
    counts: list[int] = []
    below = 0
    for sample in samples:
        if sample.name.endswith("_bucket"):
            if sample.labels["le"] != "+Inf":
                bounds.append(float(sample.labels["le"]))
            counts.append(int(sample.value) - below)
            below = int(sample.value)
        elif sample.name.endswith("_sum"):
            told.histogram.data_points.add(
                attributes=_labels(sample),
                start_time_unix_nano=began,
                time_unix_nano=now,
                count=below,
                sum=sample.value,
                explicit_bounds=bounds,
                bucket_counts=counts,
            )
            bounds, counts, below = [], [], 0


def _labels(sample: Sample) -> list[KeyValue]:
    return [pair(key, value) for key, value in sample.labels.items()]
