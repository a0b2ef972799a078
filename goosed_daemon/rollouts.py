"""Rollouts: many machines installed in waves, so that no site burns down at once.

A rollout arms its machines one after the other and never has more than so many under way. It stops
by itself when more have failed than it was allowed. Every change is one transaction; whichever
orchestrator takes a turn goes on where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from goosed_daemon import audit, machines
from goosed_daemon.errors import RolloutOver, RolloutUnknown
from goosed_daemon.state.protocol import State, Transaction
from goosed_daemon.state.sql import is_uuid
from goosed_daemon.workflow import steps

RUNNING, PAUSED = "running", "paused"
OVER = ("stopped", "aborted", "done")
_ENDING = {"stopping": "stopped", "aborting": "aborted"}  # until what has not begun is disarmed
_COLUMNS = (
    "id, selector, profile, at_once, max_failures, tries, state, words, started_at, started_by,"
    " changed_at"
)


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout, without its machines."""

    id: str
    selector: str
    profile: str
    at_once: int
    max_failures: int
    tries: int
    state: str
    words: str
    started_at: datetime
    started_by: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A machine of a rollout, and where it is: `waiting` for its turn, or the state and step of its
    workflow."""

    mac: str
    machine: str
    workflow: str | None
    state: str
    step: str
    words: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many machines of a rollout are where."""

    waiting: int
    under_way: int
    ready: int
    failed: int

    @property
    def all(self) -> int:
        """Every machine."""
        return self.waiting + self.under_way + self.ready + self.failed


def start(
    state: State,
    chosen: Sequence[tuple[str, str]],
    *,
    selector: str,
    profile: str,
    at_once: int,
    max_failures: int,
    tries: int,
    now: datetime,
    actor: str,
    new_id: Callable[[], UUID] = uuid4,
) -> Rollout:
    """Begins a rollout over the `chosen` machines, MAC and name, in this order. The next turn of an
    orchestrator arms the first of them."""
    rollout_id = str(new_id())
    with state.write() as transaction:
        transaction.execute(
            f"insert into rollouts ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                rollout_id, selector, profile, at_once, max_failures, tries, RUNNING, "", now,
                actor, now,
            ),
        )  # fmt: skip
        for place, (mac, machine) in enumerate(chosen):
            transaction.execute(
                "insert into rollout_machines (rollout, place, mac, machine) values (?, ?, ?, ?)",
                (rollout_id, place, mac, machine),
            )
        audit.record(
            transaction, now, "rollout-started", actor,
            rollout=rollout_id, machines=len(chosen), at_once=at_once, selector=selector,
        )  # fmt: skip
        return _get(transaction, rollout_id)


def show(state: State, rollout_id: str) -> tuple[Rollout, list[Member]]:
    """A rollout and its machines, in order. Raises `RolloutUnknown`."""
    with state.read() as transaction:
        return _get(transaction, rollout_id), _members(transaction, rollout_id)


def known(state: State, limit: int = 1000) -> list[tuple[Rollout, Tally]]:
    """The newest rollouts, newest first."""
    with state.read() as transaction:
        rows = transaction.execute(
            f"select {_COLUMNS} from rollouts order by started_at desc, id limit ?", (limit,)
        )
        return [(Rollout(*row), tally(_members(transaction, row[0]))) for row in rows]


def pause(state: State, rollout_id: str, now: datetime, actor: str) -> Rollout:
    """Arms no further machine; those under way go on. Raises as `resume` does."""
    return _turn_to(state, rollout_id, PAUSED, f"paused by {actor}", now, actor)


def resume(state: State, rollout_id: str, now: datetime, actor: str) -> Rollout:
    """Goes on after `pause`. Raises `RolloutUnknown` or `RolloutOver`."""
    return _turn_to(state, rollout_id, RUNNING, "", now, actor)


def abort(state: State, rollout_id: str, now: datetime, actor: str) -> Rollout:
    """Ends it: no further machine is armed, and those that have not begun are disarmed. What a
    machine has begun goes on. Raises as `resume` does."""
    _turn_to(state, rollout_id, "aborting", f"aborted by {actor}", now, actor)
    return _end(state, rollout_id, now, actor)


def tally(members: Sequence[Member]) -> Tally:
    """How many are where; a machine whose workflow was cancelled counts as failed."""
    states = [member.state for member in members]
    return Tally(
        states.count("waiting"),
        states.count("running"),
        states.count("ready"),
        states.count("failed") + states.count("cancelled"),
    )


def turn(state: State, now: datetime, new_id: Callable[[], UUID] = uuid4) -> int:
    """Takes every rollout further that runs, or whose end was broken off; gives how many machines
    were armed. Any number of orchestrators may do so at once. Raises `StateError`."""
    with state.read() as transaction:
        rows = transaction.execute(
            "select id, state from rollouts where state in (?, ?, ?) order by started_at",
            (RUNNING, *_ENDING),
        )
    for rollout_id, at in rows:
        if at in _ENDING:
            _end(state, rollout_id, now, _ACTOR)
    return sum(_advance(state, i, now, new_id) for i, at in rows if at == RUNNING)


def _advance(state: State, rollout_id: str, now: datetime, new_id: Callable[[], UUID]) -> int:
    with state.write(lock=f"rollout {rollout_id}") as transaction:
        rollout = _get(transaction, rollout_id)
        if rollout.state != RUNNING:
            return 0
        members = _members(transaction, rollout_id)
        count, stopped = tally(members), False
        if count.failed > rollout.max_failures:
            lost = [m.machine or m.mac for m in members if m.state in ("failed", "cancelled")]
            failed = "1 machine" if count.failed == 1 else f"{count.failed} machines"
            words = f"{failed} failed: {', '.join(lost[:10])}"
            _set(transaction, rollout_id, "stopping", words, now, _ACTOR)
            chosen, stopped = [], True
        elif not count.waiting and not count.under_way:
            words = f"{count.ready} ready, {count.failed} failed"
            _set(transaction, rollout_id, "done", words, now, _ACTOR)
            return 0
        else:
            room = max(0, rollout.at_once - count.under_way)
            chosen = [m for m in members if m.state == "waiting"][:room]
        reserved = []
        for member in chosen:
            # An id that was reserved by a turn that died is used: its arming may have happened.
            workflow = member.workflow or str(new_id())
            reserved.append((member.mac, workflow))
            transaction.execute(
                "update rollout_machines set workflow = ? where rollout = ? and mac = ?",
                (workflow, rollout_id, member.mac),
            )
    if stopped:
        _end(state, rollout_id, now, _ACTOR)
    return sum(_arm(state, rollout, mac, workflow, now) for mac, workflow in reserved)


_ACTOR = "orchestrator"


def _arm(state: State, rollout: Rollout, mac: str, workflow: str, now: datetime) -> bool:
    """Arms a machine of a rollout that still runs: whoever was frozen since its turn was reserved
    erases no disk once the rollout was stopped, paused or aborted."""
    with state.write(lock=mac) as transaction:
        # An update that changes nothing holds the row: who ends the rollout waits, and then finds
        # the machine armed.
        if not transaction.execute(
            "update rollouts set state = state where id = ? and state = ? returning id",
            (rollout.id, RUNNING),
        ):
            return False
        actor = f"rollout:{rollout.id}"
        return machines.arm_once(transaction, mac, rollout.tries, now, actor, UUID(workflow))


def _end(state: State, rollout_id: str, now: datetime, actor: str) -> Rollout:
    """Disarms what has not begun; then the rollout is over. Who dies before that leaves it to the
    next turn of any orchestrator."""
    _disarm_idle(state, rollout_id, now, actor)
    with state.write(lock=f"rollout {rollout_id}") as transaction:
        found = _get(transaction, rollout_id)
        if found.state in _ENDING:
            _set(transaction, rollout_id, _ENDING[found.state], found.words, now, actor)
        return _get(transaction, rollout_id)


def _disarm_idle(state: State, rollout_id: str, now: datetime, actor: str) -> None:
    """Disarms the machines of a rollout that is over and that have not asked for a script yet."""
    with state.read() as transaction:
        idle = [
            member.mac
            for member in _members(transaction, rollout_id)
            if member.state == "running" and member.step == steps.ARMED
        ]
    for mac in idle:
        machines.disarm(state, mac, now, actor)


def _turn_to(
    state: State, rollout_id: str, to: str, words: str, now: datetime, actor: str
) -> Rollout:
    with state.write(lock=f"rollout {rollout_id}") as transaction:
        found = _get(transaction, rollout_id)
        if found.state in (*OVER, *_ENDING):
            raise RolloutOver(
                f"rollout {rollout_id} is {found.state}: {found.words}", rollout=rollout_id
            )
        _set(transaction, rollout_id, to, words, now, actor)
        return _get(transaction, rollout_id)


def _set(
    transaction: Transaction, rollout_id: str, to: str, words: str, now: datetime, actor: str
) -> None:
    transaction.execute(
        "update rollouts set state = ?, words = ?, changed_at = ? where id = ?",
        (to, words, now, rollout_id),
    )
    audit.record(transaction, now, f"rollout-{to}", actor, rollout=rollout_id, words=words or None)


def _get(transaction: Transaction, rollout_id: str) -> Rollout:
    rows = (
        transaction.execute(f"select {_COLUMNS} from rollouts where id = ?", (rollout_id,))
        if is_uuid(rollout_id)
        else []
    )
    if not rows:
        raise RolloutUnknown(f"there is no rollout {rollout_id}", rollout=rollout_id)
    return Rollout(*rows[0])


def _members(transaction: Transaction, rollout_id: str) -> list[Member]:
    rows = transaction.execute(
        "select m.mac, m.machine, m.workflow, w.state, w.step, w.words from rollout_machines m"
        " left join workflows w on w.id = m.workflow where m.rollout = ? order by m.place",
        (rollout_id,),
    )
    return [
        Member(mac, machine, workflow, state or "waiting", step or "", words or "")
        for mac, machine, workflow, state, step, words in rows
    ]
