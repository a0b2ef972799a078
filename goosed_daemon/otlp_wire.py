"""Messages of OpenTelemetry put together out of parts that are encoded already.

Spans and lines of the log are alike but for their ids, times and a few values. To encode each anew,
even by a library in C, costs more than all else about it, so what they have in common is encoded
once by OpenTelemetry's own classes and kept. The rest is written here: fields of a message come in
any order, and one after the other they are the message (Protocol Buffers, "Encoding": "Message
Structure", "Last One Wins").
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from functools import lru_cache

from goosed_daemon.otlp_common import SCOPE, Value, pair, resource

_DOUBLE = struct.Struct("<BBBd")


def field(number: int, body: bytes) -> bytes:
    """A field that holds bytes, a text or a message (wire type LEN). `number` is below 16."""
    size = len(body)
    if size < 128:
        return bytes((number << 3 | 2, size)) + body
    head = bytearray((number << 3 | 2,))
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    head.append(size)
    return bytes(head) + body


def new_attribute(number: int, key: str, value: Value) -> bytes:
    """An attribute as field `number` of what has it. In a text, what UTF-8 does not know is shown
    by its escape: headers and addresses hold any byte, and Python makes lone surrogates of them."""
    if isinstance(value, str):
        text, named = value.encode(errors="backslashreplace"), _key(key)
        size, whole = len(text), len(named) + len(text) + 4
        if whole < 128:  # of which each size is one byte
            return b"%c%c%b\x12%c\x0a%c%b" % (number << 3 | 2, whole, named, size + 2, size, text)
        return field(number, named + field(2, field(1, text)))  # KeyValue.value, its string_value
    if isinstance(value, float):
        return field(number, _key(key) + _DOUBLE.pack(2 << 3 | 2, 9, 4 << 3 | 1, value))
    return field(number, pair(key, value).SerializeToString())


# Most attributes have been sent before.
attribute = lru_cache(4096, typed=True)(new_attribute)


@lru_cache(1024)
def _key(key: str) -> bytes:
    return field(1, key.encode())  # KeyValue.key


def request(services: Iterable[tuple[str, Iterable[bytes]]]) -> bytes:
    """What is sent: spans or lines of the log, encoded, by the service they are of. The requests of
    traces and of logs have the same shape (opentelemetry-proto 1, trace.proto and logs.proto)."""
    return b"".join(
        # resource_spans or resource_logs; in it resource, and scope_spans or scope_logs
        field(1, _resource(service) + field(2, _SCOPE + b"".join(field(2, one) for one in told)))
        for service, told in services
    )


_SCOPE = field(1, SCOPE.SerializeToString())
_resource: Callable[[str], bytes] = lru_cache(16)(
    lambda service: field(1, resource(service).SerializeToString())
)
