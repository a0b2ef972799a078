"""Which trace a request and a line of the log belong to (W3C Trace Context, section 3.2).

An installation is one trace. Its id is made when the machine is armed and kept with the workflow;
the id of its root span follows from it, so that processes that never spoke hang their spans below.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[0-9a-f]")


@dataclass(slots=True)
class Current:
    """The span of the request in hand. Ids are lower case hexadecimal."""

    trace: str
    span: str
    parent: str = ""  # the span above it; empty for none

    def join(self, trace: str) -> None:
        """Makes it part of an installation."""
        self.trace, self.parent = trace, root(trace)


CURRENT: ContextVar[Current | None] = ContextVar("span", default=None)


def root(trace: str) -> str:
    """The id of the root span of an installation's trace."""
    return hashlib.sha256(b"goose installation " + trace.encode()).hexdigest()[:16]


def begin(traceparent: str | None, random: Callable[[int], bytes]) -> Current:
    """The span of a request that came with this header; one that is not as it should be is
    ignored, as section 3.2.2.5 has it."""
    found = _PARENT.fullmatch(traceparent or "")
    span = random(8).hex()
    if found and int(found[1], 16) and int(found[2], 16):
        return Current(found[1], span, found[2])
    return Current(random(16).hex(), span)
