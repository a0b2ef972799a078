"""The rows of the agents table, and the questions that need no key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from goosed_daemon.state.protocol import State, Transaction

COLUMNS = (
    "mac, family, counter, token, previous, confirmed, issued_at, expires_at, enrolled_at,"
    " enrolled_by, seen_at, seen_by, version, retold, refusals, ended, ended_at"
)
MAX_SEEN = 20_000  # machines in the metric of when an agent was seen last
SEEN_WITHIN = timedelta(days=30)  # after which a silent machine leaves it


@dataclass(frozen=True, slots=True)
class Agent:
    """One row of the agents table: the agent of one machine."""

    mac: str
    family: str  # the enrolment that its tokens follow from
    counter: int  # of its current token in the family
    digest: str  # SHA-256 of the current token, hexadecimal
    previous: str | None
    confirmed: bool
    issued_at: datetime
    expires_at: datetime
    enrolled_at: datetime
    enrolled_by: str
    seen_at: datetime | None
    seen_by: str | None
    version: str | None
    retold: int
    refusals: int
    ended: str | None
    ended_at: datetime | None

    def state(self, now: datetime) -> str:
        """`enrolled` (and not heard of since), `active`, `expired`, or why it was cut off."""
        if self.ended is not None:
            return self.ended
        if self.expires_at <= now:
            return "expired"
        return "enrolled" if self.seen_at is None else "active"


def get(transaction: Transaction, mac: str) -> Agent | None:
    """The machine's agent, within a transaction."""
    rows = transaction.execute(f"select {COLUMNS} from agents where mac = ?", (mac,))
    return Agent(*rows[0]) if rows else None


def show(state: State, mac: str) -> Agent | None:
    """The machine's agent; None when none ever enrolled."""
    with state.read() as transaction:
        return get(transaction, mac)


def known(state: State) -> list[Agent]:
    """Every agent that ever enrolled, by MAC."""
    with state.read() as transaction:
        rows = transaction.execute(f"select {COLUMNS} from agents order by mac")
    return [Agent(*row) for row in rows]


def seen(state: State, now: datetime) -> dict[str, datetime]:
    """By MAC, when the agents that are in force were seen last: the `MAX_SEEN` newest, and none
    from before `SEEN_WITHIN`."""
    with state.read() as transaction:
        rows = transaction.execute(
            "select mac, seen_at from agents where ended is null and seen_at > ?"
            " order by seen_at desc limit ?",
            (now - SEEN_WITHIN, MAX_SEEN),
        )
    return dict(rows)
