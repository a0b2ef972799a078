"""What happened, for whoever asks later.

Events are added in the transaction of what they record, and never changed: `record` is the one
place that writes them. What strangers cause is not worth an event each, since anyone could fill
the disk with it: `Strangers` counts refusals in memory, and `tally` adds them to a bounded table.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from goosed_daemon.state.protocol import State, Transaction

MAX_REFUSALS = 10_000  # rows kept; the oldest make room
MAX_WAITING = 1_000  # kinds of refusals counted in memory between two calls of `tally`
OTHERS = "*"  # stands for every stranger beyond that


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the audit log."""

    id: int
    at: datetime
    kind: str
    actor: str
    mac: str | None
    token: str | None
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Refusal:
    """How often something was refused to one stranger."""

    reason: str
    mac: str
    address: str
    count: int
    first_at: datetime
    last_at: datetime


def record(
    transaction: Transaction,
    at: datetime,
    kind: str,
    actor: str,
    *,
    mac: str | None = None,
    token: str | None = None,
    **detail: object,
) -> int:
    """Adds an event and gives its number. `detail` must hold no secret; values of None are left
    out."""
    kept = {key: value for key, value in detail.items() if value is not None}
    ((number,),) = transaction.execute(
        "insert into events (at, kind, actor, mac, token, detail) values (?, ?, ?, ?, ?, ?)"
        " returning id",
        (at, kind, actor, mac, token, json.dumps(kept, sort_keys=True, separators=(",", ":"))),
    )
    return int(number)


@dataclass(frozen=True, slots=True)
class Which:
    """Which events are asked for; what is None does not matter."""

    mac: str | None = None
    kind: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None  # exclusive
    before: int | None = None  # an id

    def where(self) -> tuple[str, list[object]]:
        """A clause of SQL and its parameters."""
        wanted = (
            ("mac = ?", self.mac),
            ("kind = ?", self.kind),
            ("actor = ?", self.actor),
            ("at >= ?", self.since),
            ("at < ?", self.until),
            ("id < ?", self.before),
        )
        given = [(test, value) for test, value in wanted if value is not None]
        if not given:
            return "", []
        return "where " + " and ".join(test for test, _ in given), [value for _, value in given]


def newest(state: State, which: Which, limit: int) -> list[Event]:
    """The newest `limit` of these events, newest first."""
    clause, parameters = which.where()
    with state.read() as transaction:
        rows = transaction.execute(
            f"select id, at, kind, actor, mac, token, detail from events {clause}"
            " order by id desc limit ?",
            (*parameters, limit),
        )
    return [
        Event(number, at, kind, actor, about, token, json.loads(detail))
        for number, at, kind, actor, about, token, detail in rows
    ]


def events(state: State, *, mac: str | None = None, limit: int = 100) -> list[Event]:
    """The newest `limit` events, oldest first, of one machine or of all."""
    return newest(state, Which(mac), limit)[::-1]


def refusals(
    state: State, limit: int = 100, before: tuple[datetime, str, str, str] | None = None
) -> list[Refusal]:
    """The strangers refused last, newest first; those after the one refused at `before`, by time,
    reason, MAC and address."""
    clause = "where (last_at, reason, mac, address) < (?, ?, ?, ?)" if before else ""
    with state.read() as transaction:
        rows = transaction.execute(
            f"select reason, mac, address, count, first_at, last_at from refusals {clause}"
            " order by last_at desc, reason desc, mac desc, address desc limit ?",
            (*(before or ()), limit),
        )
    return [Refusal(*row) for row in rows]


class Strangers:
    """Counts refusals between two calls of `take`, in bounded memory; thread-safe."""

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str, str], tuple[int, datetime, datetime]] = {}

    def refused(self, at: datetime, reason: str, mac: str, address: str) -> None:
        """Counts one refusal."""
        key = (reason, mac, address)
        with self._lock:
            if key not in self._counts and len(self._counts) >= self._limit:
                key = (reason, OTHERS, OTHERS)
            count, first, _ = self._counts.get(key, (0, at, at))
            self._counts[key] = (count + 1, first, at)

    def take(self) -> list[Refusal]:
        """What was counted since the last call."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return [Refusal(*key, *value) for key, value in counts.items()]


def tally(state: State, refused: list[Refusal], limit: int = MAX_REFUSALS) -> None:
    """Adds counted refusals to their table, which keeps the `limit` newest rows."""
    if not refused:
        return
    with state.write() as transaction:
        for row in refused:
            transaction.execute(
                "insert into refusals (reason, mac, address, count, first_at, last_at)"
                " values (?, ?, ?, ?, ?, ?) on conflict (reason, mac, address) do update"
                " set count = refusals.count + excluded.count, last_at = excluded.last_at",
                (row.reason, row.mac, row.address, row.count, row.first_at, row.last_at),
            )
        transaction.execute(
            "delete from refusals where (reason, mac, address) in (select reason, mac, address"
            " from refusals order by last_at desc limit 1000000000 offset ?)",
            (limit,),
        )
