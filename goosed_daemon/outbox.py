"""Events on their way to subscribers: written with what they tell, sent when the service answers.

Delivery is at least once: a publisher that dies between the service's word and ours sends again.
Every event has an id that follows from what it tells, so that whoever receives it twice knows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from goosed_daemon.state.protocol import State, Transaction
from goosed_daemon.state.sql import marks
from goosed_daemon.workflow.transition import TIMEOUT, Change

HOLD = timedelta(seconds=30)  # that a publisher has for a batch before others may take it


@dataclass(frozen=True, slots=True)
class Message:
    """One event that waits to be sent."""

    id: int
    message: str
    mac: str
    event: str
    at: datetime
    trace: str
    data: dict[str, object]


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits, and since when."""

    messages: int
    oldest: datetime | None


def put(transaction: Transaction, change: Change, now: datetime) -> None:
    """A sink of the orchestrator: an event for each thing that was seen for the first time."""
    workflow, where = change.workflow, change.position
    for fact in change.added:
        event = "timeout" if fact.step.startswith(TIMEOUT) else fact.step
        data = {
            "machine": workflow.machine or None,
            "mac": workflow.mac,
            "profile": workflow.profile or None,
            "workflow": workflow.id,
            "token": fact.token or None,
            "attempt": where.attempt,
            "state": where.state,
            "step": where.step,
            "detail": dict(fact.detail),
        }
        transaction.execute(
            "insert into outbox (message, mac, event, at, trace, data, queued_at, held_until)"
            " values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (message) do nothing",
            (
                f"{workflow.id}/{fact.token}/{fact.step}", workflow.mac, event, fact.at,
                workflow.trace, json.dumps(data, sort_keys=True), now, now,
            ),
        )  # fmt: skip


def take(state: State, now: datetime, limit: int = 100) -> list[Message]:
    """The oldest messages that no publisher has in hand; they are the caller's for `HOLD`."""
    with state.write() as transaction:
        ids = [
            row[0]
            for row in transaction.execute(
                f"select id from outbox where held_until <= ? order by id limit ?"
                f"{state.skip_locked}",
                (now, limit),
            )
        ]
        if not ids:
            return []
        rows = transaction.execute(
            f"update outbox set held_until = ? where id in ({marks(ids)})"
            " returning id, message, mac, event, at, trace, data",
            (now + HOLD, *ids),
        )
    return [
        Message(number, message, mac, event, at, trace, json.loads(data))
        for number, message, mac, event, at, trace, data in sorted(rows)
    ]


def delivered(state: State, ids: Sequence[int]) -> None:
    """Forgets messages that the service has."""
    if ids:
        with state.write() as transaction:
            transaction.execute(f"delete from outbox where id in ({marks(ids)})", ids)


def release(state: State, ids: Sequence[int], now: datetime) -> None:
    """Gives messages back that could not be sent."""
    if ids:
        with state.write() as transaction:
            transaction.execute(
                f"update outbox set held_until = ? where id in ({marks(ids)})", (now, *ids)
            )


def depth(state: State) -> Depth:
    """What waits now."""
    with state.read() as transaction:
        ((count, oldest),) = transaction.execute(
            "select count(*), (select queued_at from outbox order by queued_at limit 1) from outbox"
        )
    return Depth(count, oldest)
