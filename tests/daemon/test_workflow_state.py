"""Orchestrators over a state, on every backend: nothing twice, nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Barrier, Thread
from uuid import UUID

import pytest

from goosed_daemon.state import State, Transaction
from goosed_daemon.workflow import begin, observe, rows
from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.orchestrator import Orchestrator
from goosed_daemon.workflow.transition import Change
from tests.daemon.state_backends import MAC, NOW, OTHER

NAMES = {"machine": "web1", "profile": "rhel9", "installer": "kickstart"}


def after(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def arm(state: State, mac: str = MAC, number: int = 1) -> None:
    with state.write(lock=mac) as transaction:
        begin(transaction, mac, NOW, UUID(int=number))


def see(state: State, step: str, minutes: float, mac: str = MAC, boot: str = "t1") -> None:
    detail = NAMES if step == s.OFFERED else None
    with state.write() as transaction:
        observe(transaction, mac, step, after(minutes), boot, detail)


class Told:
    """A sink that keeps what it was told."""

    def __init__(self) -> None:
        self.moves: list[tuple[str, str, str]] = []

    def __call__(self, transaction: Transaction, change: Change, now: datetime) -> None:
        if change.moved:
            where = change.position
            self.moves.append((change.workflow.mac, where.state, where.step))


def test_observations_move_the_machine_and_are_used_up(state: State) -> None:
    told = Told()
    orchestrator = Orchestrator(state, (told,))
    arm(state)
    see(state, s.OFFERED, 1)
    see(state, s.SCRIPT_SERVED, 2)
    turn = orchestrator.turn(after(3))
    assert (turn.observations, turn.lag) == (2, 120.0)
    assert told.moves == [(MAC, "running", s.SCRIPT_SERVED)]
    assert orchestrator.turn(after(3)).observations == 0
    (standing,) = rows.standings(state)
    assert (standing.position.step, standing.position.attempt) == (s.SCRIPT_SERVED, 1)
    assert standing.workflow.machine == "web1"
    workflow = rows.current(state, MAC)
    assert workflow is not None and {fact.step for fact in workflow.facts} == {
        s.OFFERED, s.SCRIPT_SERVED,
    }  # fmt: skip


def test_a_machine_without_a_workflow_is_observed_for_nothing(state: State) -> None:
    see(state, s.OFFERED, 1)
    with state.read() as transaction:
        assert transaction.execute("select count(*) from observations") == [(0,)]


def test_an_overdue_machine_fails_once_and_at_its_time(state: State) -> None:
    told = Told()
    orchestrator = Orchestrator(state, (told,))
    arm(state)
    see(state, s.OFFERED, 1)
    orchestrator.turn(after(2))
    assert orchestrator.turn(after(5)).changes == ()
    orchestrator.turn(after(60))
    assert orchestrator.turn(after(61)).changes == ()
    assert told.moves[-1] == (MAC, "failed", s.OFFERED) and len(told.moves) == 2
    (standing,) = rows.standings(state)
    assert standing.position.since == after(6) and standing.position.deadline is None


def test_to_arm_again_begins_anew_and_what_the_old_one_did_stays(state: State) -> None:
    orchestrator = Orchestrator(state)
    arm(state)
    see(state, s.OFFERED, 1)
    orchestrator.turn(after(2))
    arm(state, number=2)
    see(state, s.OFFERED, 3, boot="t2")
    orchestrator.turn(after(4))
    assert len(rows.standings(state)) == 1
    workflow = rows.current(state, MAC)
    assert workflow is not None and [fact.token for fact in workflow.facts] == ["t2"]
    with state.read() as transaction:
        assert len(rows.load(transaction, [str(UUID(int=n)) for n in (1, 2)])) == 2


def test_an_orchestrator_killed_in_its_turn_has_done_nothing(state: State) -> None:
    arm(state)
    see(state, s.OFFERED, 1)

    def die(transaction: Transaction, change: Change, now: datetime) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Orchestrator(state, (die,)).turn(after(2))
    (standing,) = rows.standings(state)
    assert standing.position.step == s.ARMED
    told = Told()
    assert Orchestrator(state, (told,)).turn(after(2)).observations == 1
    assert told.moves == [(MAC, "running", s.OFFERED)]


def test_a_workflow_in_hand_is_passed_over_by_others(
    state: State, open_backend: Callable[[], State]
) -> None:
    if not state.skip_locked:
        return  # one writer at a time: there is nothing to pass over
    other = open_backend()
    arm(state)
    arm(state, OTHER, 2)
    see(state, s.OFFERED, 1)
    with state.write() as transaction:
        assert len(rows.take(transaction, state, 10)) == 1
        see(other, s.OFFERED, 1, OTHER)
        turn = Orchestrator(other).turn(after(2))
        assert [change.workflow.mac for change in turn.changes] == [OTHER]


def test_of_many_orchestrators_each_step_is_told_by_one(
    state: State, open_backend: Callable[[], State]
) -> None:
    macs = [f"52:54:00:00:00:{n:02x}" for n in range(40)]
    for number, mac in enumerate(macs, 1):
        arm(state, mac, number)
    told = [Told() for _ in range(3)]
    ready = Barrier(4)

    def work(own: Told) -> None:
        mine = open_backend()
        orchestrator = Orchestrator(mine, (own,))
        ready.wait()
        idle = 0
        while idle < 20:
            idle = 0 if orchestrator.turn(after(9), limit=7).changes else idle + 1

    threads = [Thread(target=work, args=(own,)) for own in told]
    for thread in threads:
        thread.start()
    ready.wait()
    for minute, step in enumerate((s.OFFERED, s.SCRIPT_SERVED, s.FETCHED), 1):
        for mac in macs:
            see(state, step, minute, mac)
    for thread in threads:
        thread.join()
    while Orchestrator(state, (told[0],)).turn(after(9)).changes:
        pass
    moves = [move for own in told for move in own.moves]
    assert len(moves) == len(set(moves)), "no move was told twice"
    assert {mac for mac, _, step in moves if step == s.FETCHED} == set(macs), "none was lost"
    with state.read() as transaction:
        assert transaction.execute("select count(*) from observations") == [(0,)]
