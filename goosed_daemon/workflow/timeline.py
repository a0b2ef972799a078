"""One machine's installation as a story: each step, how long it took, and what is odd about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.model import RUNNING, Position, Workflow
from goosed_daemon.workflow.transition import PHASE, attempts, left, position

ODD_RATIO = 2.0  # times the fleet's median
ODD_SECONDS = 10.0  # and at least so much more than it


@dataclass(frozen=True, slots=True)
class Entry:
    """A step of one attempt: left, or the one that the machine is in (`outcome` is running)."""

    attempt: int
    step: str
    began_at: datetime
    seconds: float
    outcome: str
    median: float | None  # seconds, of the fleet; None while nothing is known
    phases: tuple[tuple[str, datetime], ...] = ()  # what the installer said of itself

    @property
    def odd(self) -> bool:
        """Whether it takes far longer than it does elsewhere."""
        if self.median is None:
            return False
        more = self.seconds - self.median
        return more >= ODD_SECONDS and self.seconds >= ODD_RATIO * self.median


@dataclass(frozen=True, slots=True)
class Timeline:
    """A machine's workflow until now."""

    workflow: Workflow
    position: Position
    entries: tuple[Entry, ...]

    @property
    def oddest(self) -> Entry | None:
        """The step that lost most against the fleet; None when all are as elsewhere."""
        odd = [entry for entry in self.entries if entry.odd]
        return max(odd, key=lambda entry: entry.seconds - (entry.median or 0), default=None)


def timeline(workflow: Workflow, now: datetime, medians: Mapping[str, float]) -> Timeline:
    """The story of `workflow` as of `now`; `medians` are the fleet's, in seconds by step."""
    where = position(workflow)
    phases = {
        attempt.number: tuple(
            sorted(
                (
                    (step.removeprefix(PHASE), fact.at)
                    for step, fact in attempt.facts.items()
                    if step.startswith(PHASE)
                ),
                key=lambda phase: phase[1],
            )
        )
        for attempt in attempts(workflow)
    }
    entries = [
        Entry(
            step.attempt,
            step.step,
            step.began_at,
            step.seconds,
            step.outcome,
            medians.get(step.step),
            phases.get(step.attempt, ()) if step.step == s.INSTALLING else (),
        )
        for step in left(workflow)
    ]
    if where.state == RUNNING:
        entries.append(
            Entry(
                where.attempt,
                where.step,
                where.since,
                max(0.0, (now - where.since).total_seconds()),
                RUNNING,
                medians.get(where.step),
                phases.get(where.attempt, ()) if where.step == s.INSTALLING else (),
            )
        )
    return Timeline(workflow, where, tuple(entries))


def words(where: Position) -> str:
    """Where a machine is, for people."""
    if where.state == RUNNING:
        return f"waiting {s.AWAITED[where.step]}"
    if where.state == "ready":
        return "ready"
    return f"{where.state} ({where.reason})" + (f": {where.words}" if where.words else "")
