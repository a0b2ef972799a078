"""Lengths of time as people write them: `90s`, `30m`, `2h`, `7d`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FORM = re.compile(r"([0-9]{1,9})([smhd])")


def parse(text: str) -> timedelta:
    """`30m` as a timedelta. Raises ValueError, which says what the form is."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 90s, 30m, 2h or 7d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def show(span: timedelta) -> str:
    """The largest unit that gives a whole number: 30 minutes is `30m`; rounds to seconds."""
    seconds = round(span.total_seconds())
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"
