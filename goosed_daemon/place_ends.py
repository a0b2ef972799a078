"""How places end: an orchestrator sees to it (`goosed_daemon.places` has how they are taken)."""

from __future__ import annotations

from datetime import datetime, timedelta

from goosed_daemon.places import LOCK, SEEN
from goosed_daemon.state.protocol import State, Transaction
from goosed_daemon.state.sql import marks
from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.model import RUNNING, Position
from goosed_daemon.workflow.transition import Change

#: How long a machine that waits may be away and have its turn back: as long as a server takes to
#: start twice.
KEPT = timedelta(minutes=15)
#: How long a place is held for a machine of which nothing is seen yet: as long as its script may
#: take to arrive.
GRACE = s.TIMEOUTS[s.OFFERED]


def settle(transaction: Transaction, change: Change, now: datetime) -> None:
    """Ends the place of a machine whose workflow left the install phase, and gives one to a machine
    that is seen in it without: by a token that was issued by hand, or heard of again after it was
    given up. A sink of the orchestrator."""
    installs = _installs(change.position)
    if installs and not _installs(change.before):
        since = change.position.since
        transaction.execute(
            "insert into places (mac, asked_at, seen_at, admitted_at)"
            " select mac, ?, ?, ? from workflows where id = ? and current on conflict (mac)"
            " do update set admitted_at = coalesce(places.admitted_at, excluded.admitted_at)",
            (since, since, since, change.workflow.id),
        )
    elif not installs and not _installed(change.before):
        # Not one that was taken since: the machine asked again, and nobody has looked at that yet.
        transaction.execute(
            "delete from places where mac = ? and admitted_at <= ?",
            (change.workflow.mac, change.position.since),
        )


def tidy(state: State, now: datetime) -> tuple[int, int]:
    """Drops those who wait no more, and places that nobody uses; gives how many places are taken
    and how many machines wait. For orchestrators, every few seconds."""
    _set_back(state, now)
    with state.read() as transaction:
        old = transaction.execute(
            f"select mac from places where {_GONE} union all select mac from places where {_IDLE}",
            (now - KEPT, now - GRACE, *s.INSTALL_PHASE),
        )
    if old:
        with state.write(lock=LOCK) as transaction:
            transaction.execute(f"delete from places where {_GONE}", (now - KEPT,))
            transaction.execute(
                f"delete from places where {_IDLE}", (now - GRACE, *s.INSTALL_PHASE)
            )
    with state.read() as transaction:
        ((taken,),) = transaction.execute(
            "select count(*) from places where admitted_at is not null"
        )
        ((waiting,),) = transaction.execute(
            "select count(*) from places where admitted_at is null and seen_at > ?", (now - SEEN,)
        )
    return taken, waiting


def _set_back(state: State, now: datetime) -> None:
    """Takes times that are yet to come for now. A clock that was set back would else keep a machine
    that is gone at the head of the queue, or a place that nobody uses, for as long as it was."""
    ahead = now + SEEN
    with state.read() as transaction:
        found = transaction.execute(
            "select mac from places where seen_at > ? or admitted_at > ?", (ahead, ahead)
        )
    if found:
        with state.write(lock=LOCK) as transaction:
            for column in ("seen_at", "admitted_at"):
                transaction.execute(
                    f"update places set {column} = ? where {column} > ?", (now, ahead)
                )


_GONE = "admitted_at is null and seen_at <= ?"
#: Its offer came to nothing: no workflow is in the install phase, nor was seen to go there.
_IDLE = (
    "admitted_at is not null and admitted_at <= ? and not exists (select 1 from workflows w"
    " where w.mac = places.mac and w.current and ((w.state = 'running' and w.step in"
    f" ({marks(s.INSTALL_PHASE)})) or exists (select 1 from observations o"
    " where o.workflow = w.id)))"
)


def _installs(where: Position) -> bool:
    return where.state == RUNNING and where.step in s.INSTALL_PHASE


def _installed(where: Position) -> bool:
    return where.state in (RUNNING, "ready") and s.STEPS.index(where.step) > _LAST


_LAST = s.STEPS.index(s.INSTALL_PHASE[-1])
