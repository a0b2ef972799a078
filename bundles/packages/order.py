"""Which of two versions is the later one, by the rules of their ecosystem."""

from __future__ import annotations

import re

_SEGMENT = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")


def compare(kind: str, a: str, b: str) -> int | None:
    """Less than, equal to or more than 0 as `a` is older than, as old as or newer than `b`; None
    where the rules of `kind` (of a package URL) do not say."""
    if a == b:
        return 0
    if kind == "rpm":
        return rpm(a, b)
    if kind == "deb":
        from debian.debian_support import NativeVersion

        try:
            older, newer = NativeVersion(a), NativeVersion(b)
        except ValueError:
            return None
        return (older > newer) - (older < newer)
    if kind == "pypi":
        from packaging.version import InvalidVersion, Version

        try:
            first, second = Version(a), Version(b)
        except InvalidVersion:
            return None
        return (first > second) - (first < second)
    return None


def rpm(a: str, b: str) -> int:
    """The order of two [EPOCH:]VERSION[-RELEASE] (rpm-version(7)): the epoch as a number, then
    version, then release by segments."""
    for one, other in zip(_parts(a), _parts(b), strict=True):
        if order := _segments(one, other):
            return order
    return 0


def _parts(text: str) -> tuple[str, str, str]:
    epoch, colon, rest = text.partition(":")
    if not colon:
        epoch, rest = "0", text
    version, _, release = rest.partition("-")
    return epoch, version, release


def _segments(a: str, b: str) -> int:
    """Segments of digits or letters are compared one by one, what separates them does not count.
    A tilde comes before anything, even the end; a caret before anything but the end."""
    one, other = _SEGMENT.findall(a), _SEGMENT.findall(b)
    for x, y in zip(one, other, strict=False):
        if x == y:
            continue
        if "~" in (x, y):
            return -1 if x == "~" else 1
        if "^" in (x, y):
            return -1 if x == "^" else 1
        if x.isdigit() != y.isdigit():
            return 1 if x.isdigit() else -1
        if x.isdigit():
            x, y = x.lstrip("0"), y.lstrip("0")
            if len(x) != len(y):
                return 1 if len(x) > len(y) else -1
        if x != y:
            return 1 if x > y else -1
    if len(one) == len(other):
        return 0
    longer, rest = (1, one[len(other) :]) if len(one) > len(other) else (-1, other[len(one) :])
    return -longer if rest[0] == "~" else longer
