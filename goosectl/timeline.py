"""An installation's timeline as people see it, and as scripts do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from goosectl import operator

if TYPE_CHECKING:
    from goosed_daemon.admin.workflow_models import WorkflowDetail, WorkflowStep

_BAR = 30  # columns of the longest bar
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def lines(found: WorkflowDetail) -> Iterator[str]:
    """The timeline: a head, a line for each step, and what is odd."""
    yield f"{found.machine or found.mac}  {found.mac}  {found.profile or ''}".rstrip()
    yield f"{found.state} since {operator.show(found.since)}: {found.words}"
    yield ""
    longest = max((step.seconds for step in found.steps if _counts(step)), default=0.0)
    attempt = None
    for step in found.steps:
        if step.attempt != attempt and step.attempt > 1:
            yield f"  attempt {step.attempt}"
        attempt = step.attempt
        yield _line(step, longest)
        for phase in step.phases:
            yield f"    {phase.phase}  from {operator.show(phase.at)}"
    odd = found.odd
    for step in found.steps:
        if odd is not None and (step.attempt, step.step) == (odd.attempt, odd.step):
            yield ""
            yield (
                f"odd one out: {odd.step} of attempt {odd.attempt} took {span(step.seconds)};"
                f" others of this profile {span(step.median_seconds or 0)}"
            )


def _counts(entry: WorkflowStep) -> bool:
    """Whether its length says something about the machine: how long somebody takes to switch it
    on does not, and a step that is not over has no length yet."""
    return entry.step != "armed" and entry.outcome != "running"


def _line(entry: WorkflowStep, longest: float) -> str:
    armed = entry.step == "armed"
    bar = _bar(entry.seconds / longest if longest and not armed else 0.0)
    median = "" if entry.median_seconds is None else f"median {span(entry.median_seconds)}"
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


def value(found: WorkflowDetail, *, facts: bool = False) -> dict[str, object]:
    """The timeline for scripts, if need be with all that was seen; times are RFC 3339, lengths are
    seconds."""
    left_out = {"remarks"} if facts else {"remarks", "facts"}
    return found.model_dump(mode="json", exclude=left_out)


def move(found: WorkflowDetail) -> dict[str, object]:
    """Where the machine is, for scripts."""
    from goosed_daemon.admin.workflow_models import WorkflowRow

    return found.model_dump(mode="json", include=set(WorkflowRow.model_fields))


def move_words(found: WorkflowDetail) -> str:
    """The same on one line, for people."""
    again = f" (attempt {found.attempt})" if found.attempt > 1 else ""
    return f"{operator.show(found.since)}  {found.step}{again}: {found.words}"
