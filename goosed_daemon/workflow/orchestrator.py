"""Takes observations up and watches the clock: one turn at a time, any number of orchestrators.

A turn claims workflows by locking their rows, so that of several orchestrators each workflow is one
one's at a time and the others pass over it. What a turn does to the state commits at once or not at
all: an orchestrator that is killed has done nothing, and one that was frozen and lost its
connection finds that its commit fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from goosed_daemon.state.protocol import State, Transaction
from goosed_daemon.workflow import rows
from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.model import Fact, Workflow
from goosed_daemon.workflow.transition import Change, Timeouts, advance, overdue

BATCH = 100  # workflows of a turn

#: Told of each change in the transaction that makes it.
Sink = Callable[[Transaction, Change, datetime], None]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn did."""

    changes: tuple[Change, ...]
    observations: int  # taken up
    lag: float  # seconds since the oldest of them was made; 0 when there was none


class Orchestrator:
    """One of any number. `timeouts_of` gives the limits of a workflow's profile."""

    def __init__(
        self,
        state: State,
        sinks: tuple[Sink, ...] = (),
        timeouts_of: Callable[[Workflow], Timeouts] = lambda workflow: s.TIMEOUTS,
    ) -> None:
        self._state = state
        self._sinks = sinks
        self._timeouts_of = timeouts_of

    def turn(self, now: datetime, limit: int = BATCH) -> Turn:
        """Takes up what was observed, and what is overdue. Raises `StateError`."""
        if not self._waiting(now):
            return Turn((), 0, 0.0)
        with self._state.write() as transaction:
            taken = rows.take(transaction, self._state, limit)
            late = rows.due(transaction, self._state, now, limit)
            found = rows.load(transaction, sorted({*taken, *late}))
            changes = []
            for number, workflow in found.items():
                facts = [fact for _, fact in taken.get(number, ())]
                changes.append(self._apply(transaction, workflow, facts, now))
            done = [number for seen in taken.values() for number, _ in seen]
            if done:
                rows.drop(transaction, done)
        oldest = min((fact.at for seen in taken.values() for _, fact in seen), default=now)
        lag = max(0.0, (now - oldest).total_seconds())
        return Turn(tuple(changes), len(done), lag)

    def _waiting(self, now: datetime) -> bool:
        """Whether there may be something to do: a look takes no lock, so that an idle orchestrator
        is in nobody's way."""
        with self._state.read() as transaction:
            return bool(
                transaction.execute("select 1 from observations order by id limit 1")
                or transaction.execute(
                    "select 1 from workflows where deadline is not null and deadline <= ?"
                    " and current limit 1",
                    (now,),
                )
            )

    def _apply(
        self, transaction: Transaction, workflow: Workflow, facts: list[Fact], now: datetime
    ) -> Change:
        timeouts = self._timeouts_of(workflow)
        change = advance(workflow, facts, timeouts)
        if late := overdue(change.workflow, now, timeouts):
            facts = [*facts, late]
            change = advance(workflow, facts, timeouts)
        rows.save(transaction, change.workflow, change.position, facts)
        rows.leave(transaction, change)
        for sink in self._sinks:
            sink(transaction, change, now)
        return change
