"""Places among the machines that install at once, and the queue of those that wait for one.

A machine that may install takes a place before it is offered its boot token, and keeps it until its
workflow has left the install phase. Places are given in the order in which machines first asked,
under one lock of the state, so that any number of daemons never give more than there are. Who waits
asks again every `PAUSE` seconds; who was not seen for `SEEN` is passed over, and has its turn back
if it comes again before it is forgotten. `place_ends` has how places end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from goosed_daemon.errors import MachineWaits
from goosed_daemon.state.protocol import State, Transaction
from goosed_daemon.workflow import rows
from goosed_daemon.workflow import steps as s

PAUSE = 20  # seconds between two questions of a machine that waits
SEEN = timedelta(seconds=4 * PAUSE)
_MEDIANS_FOR = timedelta(seconds=30)
LOCK = "places"


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a machine waits for its turn."""

    position: int  # in the queue, from 1
    words: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a machine without a place is."""

    position: int  # in the queue, from 1
    taken: tuple[datetime, ...]  # since when each place that is taken is, the longest first

    def free(self, limit: int) -> bool:
        """Whether it is this machine's turn."""
        return self.position <= limit - len(self.taken)


class Places:
    """The places of a site, `limit` in number; None for as many as ask. Thread-safe; methods block
    on the state."""

    def __init__(self, state: State, limit: int | None) -> None:
        self._state = state
        self._limit = limit
        self._lengths: dict[str, tuple[datetime, float | None]] = {}  # by profile, and until when

    def ask(self, mac: str, profile: str, now: datetime) -> None:
        """Takes a place for a machine of `profile`, or has it wait. One that may not install
        neither waits nor takes a place: `Tokens.offer` tells why it may not.

        Raises `MachineWaits`.
        """
        if self._limit is None:
            return
        with self._state.read() as transaction:
            mine = _mine(transaction, mac)
            may = _may_install(transaction, mac, now)
            standing = None
            if mine is not None and mine.admitted_at is None:
                standing = _standing(transaction, mac, mine.asked_at, now)
        if not may:
            if standing is not None:
                with self._state.write() as transaction:
                    transaction.execute(
                        "delete from places where mac = ? and admitted_at is null", (mac,)
                    )
            return
        # Whose turn it is not needs no lock to go on waiting.
        if standing is None or standing.free(self._limit) or not self._seen(mac, now):
            standing = self._turn(mac, now, self._limit)
        if standing is not None:
            raise self._refusal(mac, profile, standing, now)

    def foresee(self, mac: str, profile: str, now: datetime) -> None:
        """Raises what `ask` would for a machine that may install; changes nothing."""
        if self._limit is None:
            return
        with self._state.read() as transaction:
            mine = _mine(transaction, mac)
            if mine is not None and mine.admitted_at is not None:
                return
            standing = _standing(transaction, mac, mine.asked_at if mine else now, now)
        if not standing.free(self._limit):
            raise self._refusal(mac, profile, standing, now)

    def queued(self, mac: str, profile: str, now: datetime) -> Waiting | None:
        """How a machine waits that is in the queue now."""
        with self._state.read() as transaction:
            mine = _mine(transaction, mac)
            if mine is None or not mine.waits(now) or not _may_install(transaction, mac, now):
                return None
            standing = _standing(transaction, mac, mine.asked_at, now)
        return self._waiting(profile, standing, now)

    def positions(self, now: datetime) -> dict[str, int]:
        """By MAC, the position of each machine in the queue."""
        with self._state.read() as transaction:
            queue = transaction.execute(
                "select mac from places where admitted_at is null and seen_at > ?"
                " order by asked_at, mac",
                (now - SEEN,),
            )
        return {row[0]: position for position, row in enumerate(queue, 1)}

    def held_back(self, now: datetime) -> Callable[[str], bool]:
        """Tells of machines, by MAC, whether `ask` would have them wait, all as of now."""
        if self._limit is None:
            return lambda mac: False
        with self._state.read() as transaction:
            known = {
                row[0]: _Row(*row[1:])
                for row in transaction.execute(f"select mac, {_COLUMNS} from places")
            }
        free = self._limit - sum(row.admitted_at is not None for row in known.values())
        queue = sorted((row.asked_at, mac) for mac, row in known.items() if row.waits(now))

        def waits(mac: str) -> bool:
            row = known.get(mac, _Row(now, now, None))
            return row.admitted_at is None and bisect_left(queue, (row.asked_at, mac)) >= free

        return waits

    def _seen(self, mac: str, now: datetime) -> bool:
        """Notes that a machine in the queue asked; whether it is still there."""
        with self._state.write() as transaction:
            found = transaction.execute(
                "update places set seen_at = ? where mac = ? and admitted_at is null returning mac",
                (now, mac),
            )
        return bool(found)

    def _turn(self, mac: str, now: datetime, limit: int) -> Standing | None:
        """Takes a place; where the machine has to wait, its standing."""
        with self._state.write(lock=LOCK) as transaction:
            ((asked, admitted),) = transaction.execute(
                "insert into places (mac, asked_at, seen_at) values (?, ?, ?)"
                " on conflict (mac) do update set seen_at = excluded.seen_at"
                " returning asked_at, admitted_at",
                (mac, now, now),
            )
            if admitted is None:
                standing = _standing(transaction, mac, asked, now)
                if not standing.free(limit):
                    return standing
            # Also where it has one: what ended before this does not end the place (`settle`).
            transaction.execute("update places set admitted_at = ? where mac = ?", (now, mac))
        return None

    def _refusal(self, mac: str, profile: str, standing: Standing, now: datetime) -> MachineWaits:
        words = self._waiting(profile, standing, now).words
        return MachineWaits(words, mac=mac, position=standing.position, retry_after=PAUSE)

    def _waiting(self, profile: str, standing: Standing, now: datetime) -> Waiting:
        length, about = self._length(profile, now), ""
        if length is not None and self._limit is not None:
            about = f"about {_words(seconds_until(standing, self._limit, length, now))}, "
        return Waiting(standing.position, f"waiting, {about}position {standing.position}")

    def _length(self, profile: str, now: datetime) -> float | None:
        """Seconds that machines of `profile` are in the install phase; None while none was."""
        until, length = self._lengths.get(profile, (now, None))
        if now >= until:
            medians = rows.medians(self._state, profile, s.INSTALL_PHASE)
            length = sum(medians.values()) if s.INSTALLING in medians else None
            self._lengths[profile] = (now + _MEDIANS_FOR, length)
        return length


def seconds_until(standing: Standing, limit: int, length: float, now: datetime) -> float:
    """How long a machine waits when each install takes `length` seconds: until as many places have
    ended as it needs, those of the machines before it among them."""
    ends = [max(0.0, length - (now - since).total_seconds()) for since in standing.taken]
    needed = len(ends) - limit + standing.position - 1  # which end it is, from 0
    rounds = max(0, ceil((needed - len(ends) + 1) / limit))  # of machines that wait before it
    place = needed - rounds * limit
    return (ends[place] if place >= 0 else 0.0) + rounds * length


@dataclass(frozen=True, slots=True)
class _Row:
    """One machine's row of the table."""

    asked_at: datetime
    seen_at: datetime
    admitted_at: datetime | None

    def waits(self, now: datetime) -> bool:
        """Whether it is in the queue; who was not seen lately is passed over."""
        return self.admitted_at is None and self.seen_at > now - SEEN


_COLUMNS = "asked_at, seen_at, admitted_at"


def _mine(transaction: Transaction, mac: str) -> _Row | None:
    found = transaction.execute(f"select {_COLUMNS} from places where mac = ?", (mac,))
    return _Row(*found[0]) if found else None


def _standing(transaction: Transaction, mac: str, asked: datetime, now: datetime) -> Standing:
    taken = transaction.execute(
        "select admitted_at from places where admitted_at is not null order by admitted_at"
    )
    ((before,),) = transaction.execute(
        "select count(*) from places where admitted_at is null and seen_at > ?"
        " and (asked_at, mac) < (?, ?)",
        (now - SEEN, asked, mac),
    )
    return Standing(before + 1, tuple(row[0] for row in taken))


def _may_install(transaction: Transaction, mac: str, now: datetime) -> bool:
    """Whether a boot token waits for the machine or would be issued to it (`Tokens.foresee`)."""
    return bool(
        transaction.execute(
            "select 1 from machines where mac = ? and armed and tries_left > 0 union all"
            " select 1 from tokens where mac = ? and not used and ended is null and expires_at > ?",
            (mac, mac, now),
        )
    )


def _words(seconds: float) -> str:
    """`3 min`, `2 h 5 min`; at least a minute."""
    minutes = max(1, ceil(seconds / 60))
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} min"
