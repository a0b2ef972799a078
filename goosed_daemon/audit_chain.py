"""A hash chain over the audit log, so that whoever changes it later is found out.

Events are written by many at once, and a chain over each would make them wait for one another. So
one writer closes batches afterwards: a seal covers the events that no seal covered yet, by their
digests in the order of their ids, and the seal before it. An edit, a deletion or an event put in
between then shows; only the newest seals can be cut off unseen, and against that stands an anchor,
the number and digest of a seal, kept where the database's owner cannot write.

    event   = SHA-256(canonical JSON of [id, at, kind, actor, mac, token, detail])
    seal    = SHA-256(canonical JSON of [number, previous, [event, ...]])
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from bundles.format import canonical
from goosed_daemon.errors import DaemonError
from goosed_daemon.state.protocol import Row, State, Transaction

BATCH = 5_000  # events of a seal at most
UNDER_WAY = 100_000  # ids that can be taken and not yet committed
GENESIS = "0" * 64
FORMAT = 1
_LOCK = "goose audit seal"
_EVENT = "id, at, kind, actor, mac, token, detail"


class BadAnchor(DaemonError):
    """An anchor of the audit log cannot be read."""

    code = "bad-anchor"
    default_hint = "give a file that `goosectl audit verify --write-anchor` wrote"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A seal as it was once: what the chain must still hold."""

    number: int
    digest: str

    def encode(self) -> bytes:
        """The file."""
        value = {"digest": self.digest, "format": FORMAT, "seal": self.number}
        return canonical.dumps(value) + b"\n"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the chain found."""

    seals: int
    sealed: int  # events
    waiting: int  # events that no seal covers yet
    faults: tuple[str, ...]  # in words, each naming the seal or the event
    last: Anchor | None


def read_anchor(data: bytes, where: str) -> Anchor:
    """The anchor in a file. Raises `BadAnchor`."""
    try:
        value = canonical.loads(data.removesuffix(b"\n"), where)
        anchor = Anchor(value["seal"], value["digest"])
        same = type(anchor.number) is int and anchor.encode() == data
    except (canonical.NotCanonical, KeyError, TypeError) as error:
        raise BadAnchor(f"{where} is not an anchor of the audit log: {error}") from error
    if not same:
        raise BadAnchor(f"{where} is not an anchor of format {FORMAT}")
    return anchor


def seal(state: State, now: datetime) -> int:
    """Seals all events that wait, in batches; gives how many. Of several daemons one does so at
    a time. Raises `StateError`."""
    total = 0
    while True:
        with state.write(lock=_LOCK) as transaction:
            done = _seal_batch(transaction, now)
        total += done
        if done < BATCH:
            return total


def _seal_batch(transaction: Transaction, now: datetime) -> int:
    # An id is taken when an event is written and seen when it commits, so a lower one may appear
    # after a higher was sealed; but not one that is older than all that can be under way.
    ((newest,),) = transaction.execute("select coalesce(max(event), 0) from sealed")
    since = newest - UNDER_WAY
    rows = transaction.execute(
        f"select {_EVENT} from events where id > ? and not exists (select 1 from sealed"
        " where sealed.event = events.id and sealed.event > ?) order by id limit ?",
        (since, since, BATCH),
    )
    if not rows:
        return 0
    last = transaction.execute("select number, digest from seals order by number desc limit 1")
    number, previous = (last[0][0] + 1, last[0][1]) if last else (1, GENESIS)
    digests = [_digest(row) for row in rows]
    transaction.execute(
        "insert into seals (number, sealed_at, events, previous, digest) values (?, ?, ?, ?, ?)",
        (number, now, len(rows), previous, _seal_digest(number, previous, digests)),
    )
    for row, digest in zip(rows, digests, strict=True):
        transaction.execute(
            "insert into sealed (event, seal, digest) values (?, ?, ?)", (row[0], number, digest)
        )
    return len(rows)


def verify(state: State, anchor: Anchor | None = None) -> Verdict:
    """Checks every seal against the events; `anchor` must be among the seals.

    Reads one seal at a time, all in one view of the database. Raises `StateError`.
    """
    with state.read() as transaction:
        faults, last, sealed = [], None, 0
        number = 0
        for number, previous, digest, events in _seals(transaction):
            expected = last or Anchor(0, GENESIS)
            if number != expected.number + 1 or previous != expected.digest:
                faults.append(f"seal {number} does not follow seal {expected.number}")
            faults += _faults_of(transaction, number, previous, digest, events)
            sealed += events
            last = Anchor(number, digest)
            if anchor is not None and anchor.number == number and anchor.digest != digest:
                faults.append(f"seal {number} is not the one of the anchor: the log was rewritten")
        if anchor is not None and anchor.number > number:
            faults.append(
                f"the log ends at seal {number}, before seal {anchor.number} of the anchor:"
                " it was cut off"
            )
        ((waiting,),) = transaction.execute(
            "select count(*) from events where not exists"
            " (select 1 from sealed where sealed.event = events.id)"
        )
    return Verdict(number if last else 0, sealed, waiting, tuple(faults), last)


def _seals(transaction: Transaction) -> Iterator[tuple[int, str, str, int]]:
    for row in transaction.execute(
        "select number, previous, digest, events from seals order by number"
    ):
        yield row[0], row[1], row[2], row[3]


def _faults_of(
    transaction: Transaction, number: int, previous: str, digest: str, events: int
) -> list[str]:
    """What is wrong with one seal and the events that it covers."""
    rows = transaction.execute(
        f"select sealed.event, sealed.digest, {_EVENT} from sealed left join events"
        " on events.id = sealed.event where sealed.seal = ? order by sealed.event",
        (number,),
    )
    faults = []
    for event, told, *fields in rows:
        if fields[0] is None:
            faults.append(f"event {event}, sealed by seal {number}, is gone")
        elif _digest(tuple(fields)) != told:
            faults.append(f"event {event}, sealed by seal {number}, was changed")
    if len(rows) != events:
        faults.append(f"seal {number} covers {events} events, but {len(rows)} are recorded")
    elif _seal_digest(number, previous, [row[1] for row in rows]) != digest:
        faults.append(f"seal {number} is not the digest of what it covers")
    return faults


def _digest(row: Row) -> str:
    number, at, *rest = row
    value = [number, at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), *rest]
    return hashlib.sha256(canonical.dumps(value)).hexdigest()


def _seal_digest(number: int, previous: str, digests: list[str]) -> str:
    return hashlib.sha256(canonical.dumps([number, previous, digests])).hexdigest()
