"""Facts -> where a machine is. Pure: no clock, no state, no effects of its own.

A workflow is a set of facts, and its position is a function of that set, so that the same
observations lead to the same position in whatever order and however often they arrive. `advance`
adds facts and tells what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from types import MappingProxyType

from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.model import RUNNING, Attempt, Fact, Position, Workflow

TIMEOUT = "timeout:"  # facts of this name: the machine was in the step for too long
PHASE = "phase:"  # what an installer says of itself while it installs
RESTARTED = "restarted"
Timeouts = Mapping[str, timedelta]


@dataclass(frozen=True, slots=True)
class Left:
    """A step that a machine has left."""

    attempt: int
    step: str
    began_at: datetime
    ended_at: datetime
    outcome: str  # done, failed, timeout, cancelled or restarted

    @property
    def seconds(self) -> float:
        """How long the machine was in it; 0 where clocks disagree."""
        return max(0.0, (self.ended_at - self.began_at).total_seconds())


@dataclass(frozen=True, slots=True)
class Change:
    """What `advance` made of new facts."""

    workflow: Workflow
    position: Position
    before: Position
    added: tuple[Fact, ...]  # that were not known
    left: tuple[Left, ...]  # steps left by them

    @property
    def moved(self) -> bool:
        """Whether the machine is elsewhere than before."""
        old, new = self.before, self.position
        return (old.state, old.step, old.attempt, old.reason) != (
            new.state, new.step, new.attempt, new.reason,
        )  # fmt: skip


def advance(workflow: Workflow, seen: Iterable[Fact], timeouts: Timeouts = s.TIMEOUTS) -> Change:
    """The workflow with what was `seen` of it. Known facts are kept as they are, but for their
    time: the earliest counts."""
    known = {(fact.token, fact.step): fact for fact in workflow.facts}
    added = []
    for fact in seen:
        key = (fact.token, fact.step)
        old = known.get(key)
        if old is None:
            added.append(fact)
        if old is None or fact.at < old.at:
            known[key] = fact
    after = _named(replace(workflow, facts=tuple(known.values())))
    before_left = set(left(workflow))
    return Change(
        after,
        position(after, timeouts),
        position(workflow, timeouts),
        tuple(added),
        tuple(step for step in left(after) if step not in before_left),
    )


def position(workflow: Workflow, timeouts: Timeouts = s.TIMEOUTS) -> Position:
    """Where the machine is."""
    attempt = attempts(workflow)[-1]
    at = _reached(workflow, attempt)
    step, since = at.step, at.at
    cancelled, exhausted = _own(workflow, s.CANCELLED), _own(workflow, s.EXHAUSTED)
    failed = attempt.facts.get(s.FAILED)
    late = attempt.facts.get(TIMEOUT + step)
    # What was seen later is nearer to the truth: an operator's word does not stop a machine that
    # installs already, and a report that it is done outweighs our impatience.
    if step == s.READY:
        return Position("ready", step, since, attempt.number, None)
    if cancelled is not None and cancelled.at >= since:
        return _ended("cancelled", cancelled, step, attempt, "disarmed")
    if failed is not None and failed.at >= since:
        return _ended("failed", failed, step, attempt, "install-failed")
    if late is not None:
        return _ended("failed", late, step, attempt, "timeout")
    if exhausted is not None and exhausted.at >= since:
        return _ended("failed", exhausted, step, attempt, s.EXHAUSTED)
    limit = timeouts.get(step)
    return Position(RUNNING, step, since, attempt.number, since + limit if limit else None)


def overdue(workflow: Workflow, now: datetime, timeouts: Timeouts = s.TIMEOUTS) -> Fact | None:
    """The fact that a machine has been in its step for too long; None while it has not."""
    at = position(workflow, timeouts)
    if at.deadline is None or now < at.deadline:
        return None
    waited = _span(at.deadline - at.since)
    words = f"nothing was seen of it for {waited}; it was waiting {s.AWAITED[at.step]}"
    token = attempts(workflow)[-1].token
    return Fact(TIMEOUT + at.step, at.deadline, token, {"words": words})


def attempts(workflow: Workflow) -> tuple[Attempt, ...]:
    """The tries in their order; the first is the time before anything was offered, unless a token
    was. Each begins with the offer of its token: what bears a token that this workflow never
    offered comes from the system that was there before, whose agent still runs."""
    by_token: dict[str, dict[str, Fact]] = {}
    for fact in workflow.facts:
        by_token.setdefault(fact.token, {})[fact.step] = fact
    before = by_token.pop("", {})
    offered = [(token, facts) for token, facts in by_token.items() if s.OFFERED in facts]
    ordered = sorted(offered, key=lambda item: (_began(item[1]), item[0]))
    if not ordered:
        return (Attempt(0, "", MappingProxyType(before)),)
    return tuple(
        Attempt(number, token, MappingProxyType(facts))
        for number, (token, facts) in enumerate(ordered, 1)
    )


def left(workflow: Workflow) -> tuple[Left, ...]:
    """Every step that the machine was in and has left, in order."""
    tries = attempts(workflow)
    found: list[Left] = []
    armed_until = min((_began(a.facts) for a in tries if a.number), default=None)
    if armed_until is not None:
        found.append(Left(0, s.ARMED, workflow.began_at, armed_until, "done"))
    for index, attempt in enumerate(tries):
        if not attempt.number:
            continue
        after = _began(tries[index + 1].facts) if index + 1 < len(tries) else None
        found += _left_in(workflow, attempt, after)
    return tuple(found)


def _left_in(workflow: Workflow, attempt: Attempt, next_began: datetime | None) -> list[Left]:
    passed = [attempt.facts[step] for step in s.STEPS if step in attempt.facts]
    found = [Left(attempt.number, a.step, a.at, b.at, "done") for a, b in pairwise(passed)]
    if not passed or passed[-1].step == s.READY:
        return found
    last = passed[-1]
    ends = [
        (fact.at, outcome)
        for fact, outcome in (
            (attempt.facts.get(s.FAILED), "failed"),
            (attempt.facts.get(TIMEOUT + last.step), "timeout"),
            (_own(workflow, s.CANCELLED) if next_began is None else None, "cancelled"),
        )
        if fact is not None and fact.at >= last.at
    ]
    if next_began is not None:
        ends.append((next_began, RESTARTED))
    if ends:
        at, outcome = min(ends)
        found.append(Left(attempt.number, last.step, last.at, at, outcome))
    return found


def _named(workflow: Workflow) -> Workflow:
    """With the names that the last offer told."""
    offer = attempts(workflow)[-1].facts.get(s.OFFERED)
    if offer is None:
        return workflow
    told = offer.detail
    return replace(
        workflow,
        machine=told.get("machine", workflow.machine),
        profile=told.get("profile", workflow.profile),
        installer=told.get("installer", workflow.installer),
    )


def _reached(workflow: Workflow, attempt: Attempt) -> Fact:
    """The furthest step of an attempt."""
    for step in reversed(s.STEPS):
        if step in attempt.facts:
            return attempt.facts[step]
    return Fact(s.ARMED, workflow.began_at)


def _began(facts: Mapping[str, Fact]) -> datetime:
    return facts[s.OFFERED].at


def _own(workflow: Workflow, step: str) -> Fact | None:
    return next((f for f in workflow.facts if f.step == step and not f.token), None)


def _ended(state: str, fact: Fact, step: str, attempt: Attempt, reason: str) -> Position:
    told = fact.detail
    return Position(
        state,
        step,
        fact.at,
        attempt.number,
        None,
        told.get("reason", reason),
        told.get("words", ""),
    )


def _span(span: timedelta) -> str:
    minutes, seconds = divmod(round(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or "0 s"
