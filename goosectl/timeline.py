"""An installation's timeline as people see it, and as scripts do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from goosectl import operator

if TYPE_CHECKING:
    from goosed_daemon.workflow.model import Workflow
    from goosed_daemon.workflow.timeline import Entry, Timeline

_BAR = 30  # columns of the longest bar
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def lines(found: Timeline) -> Iterator[str]:
    """The timeline: a head, a line for each step, and what is odd."""
    from goosed_daemon.workflow.timeline import words

    workflow, where = found.workflow, found.position
    yield f"{workflow.machine or workflow.mac}  {workflow.mac}  {workflow.profile}".rstrip()
    yield f"{where.state} since {operator.show(where.since)}: {words(where)}"
    yield ""
    longest = max((entry.seconds for entry in found.entries if _counts(entry)), default=0.0)
    attempt = None
    for entry in found.entries:
        if entry.attempt != attempt and entry.attempt > 1:
            yield f"  attempt {entry.attempt}"
        attempt = entry.attempt
        yield _line(entry, longest)
        for phase, at in entry.phases:
            yield f"    {phase}  from {operator.show(at)}"
    if odd := found.oddest:
        yield ""
        yield (
            f"odd one out: {odd.step} of attempt {odd.attempt} took {span(odd.seconds)};"
            f" others of this profile {span(odd.median or 0)}"
        )


def _counts(entry: Entry) -> bool:
    """Whether its length says something about the machine: how long somebody takes to switch it
    on does not, and a step that is not over has no length yet."""
    return entry.step != "armed" and entry.outcome != "running"


def _line(entry: Entry, longest: float) -> str:
    armed = entry.step == "armed"
    bar = _bar(entry.seconds / longest if longest and not armed else 0.0)
    median = "" if entry.median is None else f"median {span(entry.median)}"
    outcome = "" if entry.outcome == "done" else entry.outcome
    mark = "!" if entry.odd else " "
    text = f"{mark} {entry.step:14}{span(entry.seconds):>9}  {bar:{_BAR}}  {median:16}{outcome}"
    return text.rstrip()


def _bar(share: float) -> str:
    eighths = round(min(1.0, share) * _BAR * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def span(seconds: float) -> str:
    """A length of time in the two units that say enough: `1 h 02 m`, `3 m 20 s`, `4.2 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} m {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02} m"
    return f"{hours // 24} d {hours % 24:02} h"


def value(found: Timeline) -> dict[str, object]:
    """The timeline for scripts; times are RFC 3339, lengths are seconds."""
    odd = found.oddest
    return move(found) | {
        "began_at": operator.show(found.workflow.began_at),
        "installer": found.workflow.installer or None,
        "steps": [
            {
                "attempt": entry.attempt,
                "step": entry.step,
                "began_at": operator.show(entry.began_at),
                "seconds": round(entry.seconds, 3),
                "outcome": entry.outcome,
                "median_seconds": entry.median,
                "phases": [{"phase": phase, "at": operator.show(at)} for phase, at in entry.phases],
            }
            for entry in found.entries
        ],
        "odd": None if odd is None else {"attempt": odd.attempt, "step": odd.step},
    }


def move(found: Timeline) -> dict[str, object]:
    """Where the machine is, for scripts."""
    from goosed_daemon.workflow.timeline import words

    workflow, where = found.workflow, found.position
    return {
        "workflow": workflow.id,
        "mac": workflow.mac,
        "machine": workflow.machine or None,
        "profile": workflow.profile or None,
        "trace": workflow.trace,
        "state": where.state,
        "step": where.step,
        "attempt": where.attempt,
        "since": operator.show(where.since),
        "deadline": operator.show(where.deadline),
        "reason": where.reason or None,
        "words": words(where),
    }


def move_words(found: Timeline) -> str:
    """The same on one line, for people."""
    from goosed_daemon.workflow.timeline import words

    where = found.position
    again = f" (attempt {where.attempt})" if where.attempt > 1 else ""
    return f"{operator.show(where.since)}  {where.step}{again}: {words(where)}"


def facts(workflow: Workflow) -> list[dict[str, object]]:
    """All that was seen, in the order of time."""
    return [
        {
            "at": operator.show(fact.at),
            "step": fact.step,
            "token": fact.token or None,
            "detail": dict(fact.detail),
        }
        for fact in sorted(workflow.facts, key=lambda fact: (fact.at, fact.step))
    ]
