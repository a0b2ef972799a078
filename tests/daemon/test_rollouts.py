"""Rollouts on every backend: waves, failures, pauses, and orchestrators that die in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest

from goosed_daemon import machines, rollouts
from goosed_daemon.errors import RolloutOver, RolloutUnknown
from goosed_daemon.rollouts import Rollout, Tally
from goosed_daemon.state import State
from goosed_daemon.workflow import observe
from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.orchestrator import Orchestrator
from tests.daemon.state_backends import NOW

LATER = NOW + timedelta(minutes=1)


def mac(number: int) -> str:
    return f"52:54:00:00:01:{number:02x}"


def begin(state: State, number: int = 10, **given: Any) -> Rollout:
    settings = {"at_once": 3, "max_failures": 1, "tries": 2} | given
    return rollouts.start(
        state,
        [(mac(n), f"web{n}") for n in range(number)],
        selector="role=web",
        profile="",
        now=NOW,
        actor="operator:me",
        **settings,
    )


def see(state: State, number: int, step: str) -> None:
    """The machine is seen at `step` and an orchestrator takes that up."""
    with state.write() as transaction:
        observe(transaction, mac(number), s.OFFERED, NOW + timedelta(seconds=1), f"t{number}")
        observe(transaction, mac(number), step, NOW + timedelta(seconds=9), f"t{number}")
    Orchestrator(state).turn(LATER)


def count(state: State, rollout: Rollout) -> Tally:
    return rollouts.tally(rollouts.show(state, rollout.id)[1])


def told(state: State, rollout: Rollout) -> tuple[str, str]:
    found, _ = rollouts.show(state, rollout.id)
    return found.state, found.words


def test_never_more_than_so_many_are_under_way_until_all_are_done(state: State) -> None:
    rollout = begin(state, 7)
    assert rollouts.turn(state, NOW) == 3
    assert rollouts.turn(state, NOW) == 0
    assert count(state, rollout) == Tally(waiting=4, under_way=3, ready=0, failed=0)
    for number in range(7):
        see(state, number, s.READY)
        rollouts.turn(state, LATER)
        assert count(state, rollout).under_way <= 3
    rollouts.turn(state, LATER)
    assert told(state, rollout) == ("done", "7 ready, 0 failed")


def test_it_stops_by_itself_past_the_failures_allowed_and_begins_nothing_more(
    state: State,
) -> None:
    rollout = begin(state, max_failures=1)
    rollouts.turn(state, NOW)
    see(state, 0, s.FAILED)
    assert rollouts.turn(state, LATER) == 1, "one failure is allowed"
    see(state, 1, s.FAILED)
    assert rollouts.turn(state, LATER) == 0
    assert told(state, rollout) == ("stopped", "2 machines failed: web0, web1")
    armed = [arming.mac for arming in machines.known(state) if arming.armed]
    assert armed == [mac(0), mac(1)], "what had not begun is disarmed; what failed may retry"
    assert rollouts.turn(state, LATER) == 0


def test_a_pause_lets_what_is_under_way_go_on_and_begins_nothing(state: State) -> None:
    rollout = begin(state)
    rollouts.turn(state, NOW)
    rollouts.pause(state, rollout.id, NOW, "operator:me")
    see(state, 0, s.READY)
    assert rollouts.turn(state, LATER) == 0
    assert count(state, rollout) == Tally(waiting=7, under_way=2, ready=1, failed=0)
    rollouts.resume(state, rollout.id, LATER, "operator:me")
    assert rollouts.turn(state, LATER) == 1


def test_an_abort_disarms_what_has_not_begun_and_is_final(state: State) -> None:
    rollout = begin(state)
    rollouts.turn(state, NOW)
    see(state, 0, s.INSTALLING)
    rollouts.abort(state, rollout.id, LATER, "operator:me")
    assert [arming.mac for arming in machines.known(state) if arming.armed] == [mac(0)]
    for change in (rollouts.pause, rollouts.resume, rollouts.abort):
        with pytest.raises(RolloutOver, match="aborted by operator:me"):
            change(state, rollout.id, LATER, "operator:me")
    assert rollouts.turn(state, LATER) == 0


def test_a_turn_killed_between_choosing_and_arming_is_taken_up(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = begin(state)

    with monkeypatch.context() as patched:
        patched.setattr(machines, "arm_once", die)
        with pytest.raises(KeyboardInterrupt):
            rollouts.turn(state, NOW)
    assert rollouts.turn(state, NOW) == 3
    assert count(state, rollout).under_way == 3


def die(*_: object) -> bool:
    raise KeyboardInterrupt


@pytest.mark.parametrize("change", [rollouts.abort, rollouts.pause], ids=["aborted", "paused"])
def test_an_orchestrator_frozen_before_it_arms_erases_no_disk_afterwards(
    state: State,
    open_backend: Callable[[], State],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[..., Rollout],
) -> None:
    """Stopped after it reserved machines, continued when the rollout is no longer running."""
    rollout = begin(state)
    original = rollouts._arm

    def frozen(*words: Any) -> bool:
        monkeypatch.setattr(rollouts, "_arm", original)
        change(open_backend(), rollout.id, LATER, "operator:me")
        return original(*words)

    monkeypatch.setattr(rollouts, "_arm", frozen)
    assert rollouts.turn(state, LATER) == 0
    assert [arming for arming in machines.known(state) if arming.armed] == []
    if change is rollouts.pause:
        rollouts.resume(state, rollout.id, LATER, "operator:me")
        assert rollouts.turn(state, LATER) == 3


def abort(state: State, rollout: Rollout) -> None:
    rollouts.abort(state, rollout.id, LATER, "operator:me")


@pytest.mark.parametrize("by_failures", [False, True], ids=["aborted", "stopped by failures"])
def test_an_end_killed_before_it_disarmed_is_taken_up(
    state: State, monkeypatch: pytest.MonkeyPatch, by_failures: bool
) -> None:
    rollout = begin(state, max_failures=0)
    rollouts.turn(state, NOW)
    if by_failures:
        see(state, 0, s.FAILED)
    with monkeypatch.context() as patched:
        patched.setattr(machines, "disarm", die)
        with pytest.raises(KeyboardInterrupt):
            rollouts.turn(state, LATER) if by_failures else abort(state, rollout)
    assert told(state, rollout)[0] == ("stopping" if by_failures else "aborting")
    with pytest.raises(RolloutOver):
        rollouts.resume(state, rollout.id, LATER, "operator:me")
    assert rollouts.turn(state, LATER) == 0
    assert told(state, rollout)[0] == ("stopped" if by_failures else "aborted")
    armed = {arming.mac for arming in machines.known(state) if arming.armed}
    assert armed <= {mac(0)}  # the one that began
    assert rollouts.turn(state, LATER) == 0


def test_many_orchestrators_arm_each_machine_once(
    state: State, open_backend: Callable[[], State]
) -> None:
    rollout = begin(state, 30, at_once=20)
    done: list[int] = []
    threads = [
        Thread(target=lambda: done.append(rollouts.turn(open_backend(), NOW))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == 20 == count(state, rollout).under_way
    with state.read() as transaction:
        ((events,),) = transaction.execute("select count(*) from events where kind='machine-armed'")
    assert events == 20


@pytest.mark.parametrize("name", ["nothing", "01234567-89ab-4def-8123-456789abcdef"])
def test_a_rollout_that_never_was_is_told_so(state: State, name: str) -> None:
    with pytest.raises(RolloutUnknown):
        rollouts.show(state, name)
