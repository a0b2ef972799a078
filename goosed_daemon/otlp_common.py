"""What OpenTelemetry's messages of every signal have in common."""

from __future__ import annotations

from functools import lru_cache

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from bundles import __version__

SCOPE = InstrumentationScope(name="goose", version=__version__)

Value = str | int | float | bool


def resource(service: str) -> Resource:
    """What sends."""
    about = {"service.name": service, "service.version": __version__}
    return Resource(attributes=[pair(key, value) for key, value in about.items()])


@lru_cache(2048, typed=True)  # making one costs more than all else about it
def pair(key: str, value: Value) -> KeyValue:
    """An attribute."""
    if isinstance(value, str):
        return KeyValue(key=key, value=AnyValue(string_value=value))
    if isinstance(value, bool):
        return KeyValue(key=key, value=AnyValue(bool_value=value))
    if isinstance(value, int):
        return KeyValue(key=key, value=AnyValue(int_value=value))
    return KeyValue(key=key, value=AnyValue(double_value=value))
