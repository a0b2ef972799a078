"""What machines and operators do is seen: each act moves the workflow, on every backend."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from goosed_daemon import machines
from goosed_daemon.errors import TriesExhausted
from goosed_daemon.state import State
from goosed_daemon.tokens import Tokens
from goosed_daemon.workflow import rows
from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.model import Position
from goosed_daemon.workflow.orchestrator import Orchestrator
from goosed_daemon.workflow.timeline import timeline
from tests.daemon.state_backends import MAC, NOW, TTL

NAMES = {"machine": "web1", "profile": "rhel9-base", "installer": "kickstart"}


def where(state: State, now: datetime) -> Position:
    Orchestrator(state).turn(now)
    (standing,) = rows.standings(state)
    return standing.position


def later(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


def test_an_installation_is_seen_from_arming_to_its_report(state: State, tokens: Tokens) -> None:
    machines.arm(state, MAC, 3, NOW, "operator:me")
    assert where(state, NOW).step == s.ARMED
    offer = tokens.offer(MAC, later(1), "192.0.2.7", NAMES)
    assert where(state, later(1)).step == s.OFFERED
    assert not tokens.offer(MAC, later(2), "192.0.2.7", NAMES).new
    assert where(state, later(2)).since == later(1), "the same offer again is nothing new"
    tokens.claim(offer.secret, later(3), "192.0.2.7")
    assert where(state, later(3)).step == s.RENDERED
    for minute, (report, step) in enumerate(
        (("started", s.INSTALLING), ("installed", s.INSTALLED)), 4
    ):
        machines.report(state, MAC, report, later(minute), "192.0.2.7", offer.token.id)
        assert where(state, later(minute)).step == step
    (standing,) = rows.standings(state)
    assert standing.workflow.profile == "rhel9-base"


def test_a_failed_install_says_so_and_the_next_boot_is_another_attempt(
    state: State, tokens: Tokens
) -> None:
    machines.arm(state, MAC, 2, NOW, "operator:me")
    first = tokens.offer(MAC, later(1), "192.0.2.7", NAMES)
    tokens.claim(first.secret, later(2), "192.0.2.7")
    machines.report(state, MAC, "failed", later(3), "192.0.2.7", first.token.id)
    assert where(state, later(3)).reason == "install-failed"
    second = tokens.offer(MAC, later(5), "192.0.2.7", NAMES)
    at = where(state, later(5))
    assert (at.state, at.attempt, at.step) == ("running", 2, s.OFFERED)
    tokens.claim(second.secret, later(6), "192.0.2.7")
    with pytest.raises(TriesExhausted):
        tokens.offer(MAC, later(7), "192.0.2.7", NAMES)
    at = where(state, later(7))
    assert (at.state, at.reason) == ("failed", s.EXHAUSTED) and MAC in at.words


def test_what_the_installer_says_meanwhile_is_told_with_its_step(
    state: State, tokens: Tokens
) -> None:
    machines.arm(state, MAC, 2, NOW, "operator:me")
    offer = tokens.offer(MAC, later(1), "192.0.2.7", NAMES)
    for minute, report in enumerate(("started", "disks", "configuring"), 2):
        machines.report(state, MAC, report, later(minute), "192.0.2.7", offer.token.id)
    assert where(state, later(5)).step == s.INSTALLING
    workflow = rows.current(state, MAC)
    assert workflow is not None
    told = timeline(workflow, later(5), {}).entries[-1]
    assert told.phases == (("disks", later(3)), ("configuring", later(4)))


def test_a_report_that_it_is_done_is_seen_however_much_was_reported_before(
    state: State, tokens: Tokens
) -> None:
    machines.arm(state, MAC, 2, NOW, "operator:me")
    offer = tokens.offer(MAC, later(1), "192.0.2.7", NAMES)
    for _ in range(machines.MAX_REPORTS + 5):
        machines.report(state, MAC, "started", later(2), "192.0.2.7", offer.token.id)
    machines.report(state, MAC, "installed", later(3), "192.0.2.7", offer.token.id)
    assert where(state, later(3)).step == s.INSTALLED


def test_disarming_is_told_with_who_did_it(state: State, tokens: Tokens) -> None:
    machines.arm(state, MAC, 2, NOW, "operator:me")
    machines.disarm(state, MAC, later(1), "operator:me")
    at = where(state, later(1))
    assert (at.state, at.reason, at.words) == ("cancelled", "disarmed", "disarmed by operator:me")


def test_a_token_issued_by_hand_begins_a_workflow_unless_one_is_under_way(
    state: State, tokens: Tokens
) -> None:
    tokens.issue(MAC, NOW, TTL, "operator:me")
    assert where(state, NOW).step == s.OFFERED
    machines.arm(state, MAC, 2, later(1), "operator:me")
    tokens.issue(MAC, later(2), TTL, "operator:me")
    workflow = rows.current(state, MAC)
    assert workflow is not None and workflow.began_at == later(1)
