"""A workflow as values: facts, attempts, and where a machine is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

RUNNING = "running"
STATES = (RUNNING, "ready", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Fact:
    """Something seen of a machine, once: a step that it reached, or what ended an attempt.

    `token` is the id of the boot token that began the attempt; empty for what belongs to none.
    """

    step: str
    at: datetime
    token: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at an installation: from a boot token's offer to its end."""

    number: int  # from 1; 0 before anything was offered
    token: str
    facts: Mapping[str, Fact]  # by step


@dataclass(frozen=True, slots=True)
class Position:
    """Where a machine is, and why."""

    state: str  # one of STATES
    step: str  # the last that was reached
    since: datetime
    attempt: int
    deadline: datetime | None  # when being in this step becomes a failure
    reason: str = ""  # a stable code when failed or cancelled
    words: str = ""


@dataclass(frozen=True, slots=True)
class Workflow:
    """One arming of one machine, and what was seen since."""

    id: str
    mac: str
    began_at: datetime
    trace: str  # W3C trace id, 32 hexadecimal digits
    facts: tuple[Fact, ...]
    machine: str = ""  # names as of the last offer; empty before
    profile: str = ""
    installer: str = ""
