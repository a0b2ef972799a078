"""Messages that are put together of encoded parts are what OpenTelemetry's own classes read and,
given the same, write."""

from __future__ import annotations

import logging
from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from goosed_daemon import otlp, otlp_wire
from tests.daemon.otlp_receiver import attributes

# Lone surrogates are what Python makes of bytes that are no UTF-8.
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=300),
    st.text(st.characters(categories=["Cs"]), min_size=1, max_size=3),
)
VALUE = st.one_of(TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
NAMED = st.dictionaries(st.sampled_from(["id", "target", "status", "x" * 130]), VALUE)
TIME = st.integers(0, 2**64 - 1)
TRACE = st.binary(min_size=16, max_size=16).map(bytes.hex)
SPAN = st.binary(min_size=8, max_size=8).map(bytes.hex)
# What a machine's workflow logs is of its trace, and of no request.
IDS = st.one_of(st.just({}), st.fixed_dictionaries({"span_id": SPAN}))


def shown(value: Any) -> Any:
    """A value as UTF-8 can have it."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), TRACE, SPAN, st.one_of(st.just(""), SPAN),
                          TIME, NAMED, st.booleans()), max_size=4))  # fmt: skip
def test_spans_are_read_as_they_were(spans: list[Any]) -> None:
    made = [
        otlp._Ended(service, "GET /x", trace, span, parent, at, at, told, failed,
                    Span.SPAN_KIND_SERVER)
        for service, trace, span, parent, at, told, failed in spans
    ]  # fmt: skip
    read = ExportTraceServiceRequest.FromString(otlp._traces(made))
    found = [
        (attributes(of.resource)["service.name"], span)
        for of in read.resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    ]
    assert sorted(service for service, _ in found) == sorted(one.service for one in made)
    services = dict.fromkeys(one.service for one in made)
    by_service = [one for name in services for one in made if one.service == name]
    for one, (_, span) in zip(by_service, found, strict=True):
        assert (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()) == (
            one.trace, one.span, one.parent,
        )  # fmt: skip
        assert (span.name, span.kind) == (one.name, Span.SPAN_KIND_SERVER)
        assert (span.start_time_unix_nano, span.end_time_unix_nano) == (one.began, one.ended)
        assert (span.status.code == Status.STATUS_CODE_ERROR) == one.failed
        assert len(UnknownFieldSet(span)) == 0
        assert attributes(span) == {key: shown(value) for key, value in one.attributes.items()}


@given(st.lists(st.tuples(TIME, TEXT, st.one_of(st.none(), st.tuples(TRACE, IDS)), NAMED),
                max_size=4))  # fmt: skip
def test_lines_are_read_as_they_were(lines: list[Any]) -> None:
    made = [
        otlp._Line(at, logging.WARNING, {"time": "t", "message": message, **told}
                   | ({"trace_id": ids[0]} | ids[1] if ids else {}))
        for at, message, ids, told in lines
    ]  # fmt: skip
    read = ExportLogsServiceRequest.FromString(otlp._logs("goosed-api", made))
    (of,) = read.resource_logs
    assert attributes(of.resource)["service.name"] == "goosed-api"
    (scope,) = of.scope_logs
    assert scope.scope.name == "goose"
    for (at, message, ids, told), record in zip(lines, scope.log_records, strict=True):
        assert record.time_unix_nano == record.observed_time_unix_nano == at
        assert (record.severity_text, record.body.string_value) == ("WARNING", shown(message))
        assert (record.trace_id.hex(), record.span_id.hex()) == (
            (ids[0], ids[1].get("span_id", "")) if ids else ("", "")
        )
        assert record.flags == bool(ids)
        assert len(UnknownFieldSet(record)) == 0
        assert attributes(record) == {key: shown(value) for key, value in told.items()}


@given(st.integers(1, 15), st.binary(max_size=70_000))
@example(1, bytes(127))
@example(1, bytes(128))
@example(1, bytes(16_383))
@example(15, bytes(16_384))
def test_a_field_says_its_size(number: int, body: bytes) -> None:
    made = otlp_wire.field(number, body)
    size, shift, at = 0, 0, 1
    while True:  # "Base 128 Varints"
        size |= (made[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if made[at - 1] < 128:
            break
    assert (made[0] >> 3, made[0] & 7, size, made[at:]) == (number, 2, len(body), body)
