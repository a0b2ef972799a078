"""Facts in, position out: no order, repetition or late arrival of facts leads to a lie."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.model import Fact, Workflow
from goosed_daemon.workflow.transition import advance, attempts, left, overdue, position
from tests.daemon.state_backends import MAC, NOW

EMPTY = Workflow("w", MAC, NOW, "0" * 32, ())


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def offer(minutes: float, boot: str = "t1", installer: str = "kickstart") -> Fact:
    detail = {"machine": "web1", "profile": "rhel9", "installer": installer}
    return Fact(s.OFFERED, at(minutes), boot, detail)


def whole(boot: str = "t1", begin: float = 1) -> list[Fact]:
    """Every step of a clean installation, a minute apart."""
    steps = s.STEPS[2:]
    return [
        offer(begin, boot),
        *(Fact(step, at(begin + n), boot) for n, step in enumerate(steps, 1)),
    ]


def test_a_clean_installation_goes_through_every_step_to_ready() -> None:
    workflow, seen = EMPTY, [s.ARMED]
    for fact in whole():
        change = advance(workflow, [fact])
        assert change.moved and change.position.state in ("running", "ready")
        workflow = change.workflow
        seen.append(change.position.step)
    assert tuple(seen) == s.STEPS
    assert position(workflow).state == "ready"
    assert (workflow.machine, workflow.profile) == ("web1", "rhel9")
    assert [(step.step, step.seconds) for step in left(workflow)] == [
        (step, 60.0) for step in s.STEPS[:-1]
    ]


def test_an_armed_machine_waits_as_long_as_it_takes() -> None:
    assert overdue(EMPTY, NOW + timedelta(days=365)) is None


@pytest.mark.parametrize("step", list(s.TIMEOUTS))
def test_a_machine_that_is_not_heard_of_in_time_has_failed_and_is_believed_when_it_returns(
    step: str,
) -> None:
    facts = whole()
    reached = facts[: s.STEPS.index(step)]
    workflow = advance(EMPTY, reached).workflow
    limit = position(workflow).deadline
    assert limit == reached[-1].at + s.TIMEOUTS[step]
    assert overdue(workflow, limit - timedelta(seconds=1)) is None
    late = overdue(workflow, limit + timedelta(hours=1))
    assert late is not None
    change = advance(workflow, [late])
    assert (change.position.state, change.position.reason) == ("failed", "timeout")
    assert change.position.since == limit, "it failed when its time was over, not when we looked"
    assert s.AWAITED[step] in change.position.words
    assert [(x.step, x.outcome) for x in change.left] == [(step, "timeout")]
    back = advance(change.workflow, [facts[len(reached)]])
    assert back.position.state in ("running", "ready")


def test_a_machine_that_boots_again_in_mid_install_begins_a_second_attempt() -> None:
    first = whole()[:5]  # up to rendered and installing
    workflow = advance(EMPTY, [*first, offer(20, "t2")]).workflow
    at_now = position(workflow)
    assert (at_now.step, at_now.attempt, at_now.state) == (s.OFFERED, 2, "running")
    assert [(x.attempt, x.step, x.outcome) for x in left(workflow)][-1] == (
        1, s.INSTALLING, "restarted",
    )  # fmt: skip
    late = advance(workflow, [Fact(s.INSTALLED, at(21), "t1")])
    assert late.position == at_now, "what the first attempt says no longer moves the machine"


def test_an_install_that_failed_may_be_tried_again_and_then_fails_for_good() -> None:
    failed = Fact(s.FAILED, at(9), "t1", {"words": "no disk sda"})
    first = advance(EMPTY, [*whole()[:5], failed])
    assert (first.position.state, first.position.reason) == ("failed", "install-failed")
    assert first.position.words == "no disk sda"
    again = advance(first.workflow, [offer(12, "t2")])
    assert again.position.state == "running"
    out = advance(again.workflow, [Fact(s.EXHAUSTED, at(30), detail={"words": "3 tries"})])
    assert (out.position.state, out.position.reason) == ("failed", s.EXHAUSTED)


def test_disarming_cancels_but_does_not_deny_what_the_machine_does_anyway() -> None:
    cancelled = Fact(s.CANCELLED, at(6.5), detail={"words": "disarmed by operator:me"})
    workflow = advance(EMPTY, [*whole()[:5], cancelled]).workflow
    assert position(workflow).state == "cancelled"
    assert left(workflow)[-1].outcome == "cancelled"
    done = advance(workflow, [Fact(s.INSTALLED, at(40), "t1")])
    assert (done.position.state, done.position.step) == ("running", s.INSTALLED)


def test_the_agent_of_the_system_before_does_not_make_a_machine_ready() -> None:
    workflow = advance(EMPTY, [offer(1, "t2"), Fact(s.READY, at(2), "t1")]).workflow
    assert position(workflow).step == s.OFFERED
    workflow = advance(EMPTY, [Fact(s.READY, at(2), "t1")]).workflow
    assert position(workflow).step == s.ARMED, "also before the machine asks for anything"
    workflow = advance(EMPTY, [*whole("t1", -60), offer(1, "t2")]).workflow
    assert position(workflow).step == s.OFFERED


def test_what_was_not_seen_is_passed_over() -> None:
    workflow = advance(EMPTY, [offer(1), Fact(s.INSTALLED, at(30), "t1")]).workflow
    assert position(workflow).step == s.INSTALLED
    assert [x.step for x in left(workflow)] == [s.ARMED, s.OFFERED]


def test_windows_begins_with_its_answers_which_bring_the_secret_of_its_reports() -> None:
    facts = [offer(1, installer="unattend"), Fact(s.RENDERED, at(3), "t1")]
    workflow = advance(EMPTY, [*facts, Fact(s.INSTALLING, at(4), "t1")]).workflow
    assert position(workflow).step == s.INSTALLING


def test_clocks_that_disagree_make_no_negative_durations() -> None:
    workflow = advance(EMPTY, [offer(5), Fact(s.SCRIPT_SERVED, at(4), "t1")]).workflow
    assert [x.seconds for x in left(workflow)] == [300.0, 0.0]


_TOKENS = ("t1", "t2", "t3")
_minutes = st.integers(0, 300)
_facts = st.one_of(
    st.builds(offer, _minutes, st.sampled_from(_TOKENS)),
    st.builds(
        lambda step, minutes, token: Fact(step, at(minutes), token),
        st.sampled_from((*s.STEPS[2:], s.FAILED)),
        _minutes,
        st.sampled_from(_TOKENS),
    ),
    st.builds(
        lambda step, minutes: Fact(step, at(minutes)),
        st.sampled_from((s.CANCELLED, s.EXHAUSTED)),
        _minutes,
    ),
)


@given(st.lists(_facts, max_size=25), st.data())
def test_any_order_and_any_repetition_leads_to_the_same_position(
    facts: list[Fact], data: st.DataObject
) -> None:
    # Of several facts of one name the earliest counts; two of the same time are the same.
    at_once = position(advance(EMPTY, facts).workflow)
    shuffled = data.draw(st.permutations([*facts, *facts[:5]]))
    workflow = EMPTY
    for fact in shuffled:
        workflow = advance(workflow, [fact]).workflow
    assert position(workflow) == at_once
    assert sorted(left(workflow), key=repr) == sorted(
        left(advance(EMPTY, facts).workflow), key=repr
    )


@given(st.lists(_facts, max_size=25))
def test_a_position_never_says_more_than_was_seen(facts: list[Fact]) -> None:
    workflow = advance(EMPTY, facts).workflow
    where = position(workflow)
    attempt = attempts(workflow)[-1]
    assert where.step == s.ARMED or where.step in attempt.facts
    order = s.STEPS
    assert all(
        order.index(step) <= order.index(where.step) for step in attempt.facts if step in order
    ), "it is at the furthest step that was seen"
    assert (where.state == "ready") == (where.step == s.READY)
    assert (where.deadline is not None) == (where.state == "running" and where.step != s.ARMED)
    assert bool(where.reason) == (where.state in ("failed", "cancelled"))


@given(st.lists(_facts, max_size=25))
def test_each_step_is_left_once_and_never_before_it_was_entered(facts: list[Fact]) -> None:
    workflow, told = EMPTY, []
    for fact in facts:
        change = advance(workflow, [fact])
        workflow = change.workflow
        told += [(x.attempt, x.step) for x in change.left if x.began_at <= x.ended_at]
    final = [(x.attempt, x.step) for x in left(workflow)]
    assert len(final) == len(set(final))


@given(st.lists(_facts, max_size=25), st.integers(0, 5000))
def test_time_alone_moves_a_machine_only_to_failed(facts: list[Fact], minutes: int) -> None:
    workflow = advance(EMPTY, facts).workflow
    late = overdue(workflow, at(minutes))
    if late is not None:
        change = advance(workflow, [late])
        assert change.position.state == "failed"
        assert change.position.step == change.before.step
        assert overdue(change.workflow, at(minutes + 10_000)) is None, "once"
