"""Conditional and partial requests: RFC 9110, sections 13 and 14. Pure functions."""

from __future__ import annotations

import re
from typing import NamedTuple

_TAG = re.compile(r'[ \t]*(W/)?("[\x21\x23-\x7e\x80-\U0010ffff]*")[ \t]*')
_SPEC = re.compile(r"([0-9]*)-([0-9]*)")
_ENDLESS = 10**18  # larger than any file, for numbers of any length


class Span(NamedTuple):
    """`length` bytes from `start`."""

    start: int
    length: int


class Unsatisfiable(NamedTuple):
    """The range lies outside of the content: status 416."""


def parse(header: str | None, size: int) -> Span | Unsatisfiable | None:
    """What a Range field asks of content of `size` bytes; None when it is to be ignored.

    Ignored, as section 14.2 allows, are other units, malformed fields and more than one range.
    """
    if header is None:
        return None
    unit, equals, value = header.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    specs = [spec.strip(" \t") for spec in value.split(",")]
    specs = [spec for spec in specs if spec]
    match = _SPEC.fullmatch(specs[0]) if len(specs) == 1 else None
    if match is None or match[0] == "-":
        return None
    if not match[1]:
        return _suffix(_number(match[2]), size)
    first = _number(match[1])
    last = _number(match[2]) if match[2] else _ENDLESS
    if last < first:
        return None
    if first >= size:
        return Unsatisfiable()
    return Span(first, min(last, size - 1) - first + 1)


def _suffix(length: int, size: int) -> Span | Unsatisfiable | None:
    if length == 0:
        return Unsatisfiable()
    if size == 0:
        return None  # all of nothing: Content-Range has no form for it
    length = min(length, size)
    return Span(size - length, length)


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= 18 else _ENDLESS


def matches(header: str, etag: str, *, weak: bool) -> bool:
    """Whether an If-Match (strong) or If-None-Match (weak) field names `etag`, quotes included;
    sections 13.1.1, 13.1.2 and 8.8.3.2. A malformed field matches nothing."""
    if header.strip() == "*":
        return True
    position, found = 0, False
    while position < len(header):
        match = _TAG.match(header, position)
        if match is None or (match.end() < len(header) and header[match.end()] != ","):
            return False
        found = found or (match[2] == etag and (weak or not match[1]))
        position = match.end() + 1
    return found


def range_still_wanted(if_range: str | None, etag: str) -> bool:
    """Whether the Range field counts under this If-Range field: section 13.1.5. Only the strong
    form of an entity tag can match; there is no date to compare with."""
    return if_range is None or if_range.strip() == etag
