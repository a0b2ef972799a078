"""Small pieces of SQL, and of what goes into it, that every table's module needs."""

from __future__ import annotations

import re
from collections.abc import Sequence

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def marks(values: Sequence[object]) -> str:
    """A parameter for each of `values`, for `in (...)`."""
    return ", ".join("?" * len(values))


def is_uuid(text: str) -> bool:
    """Whether `text` from outside is an id as the state spells it (RFC 9562, section 4);
    PostgreSQL takes anything else in its place for an error."""
    return _UUID.fullmatch(text) is not None
