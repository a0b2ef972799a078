"""goosectl workflow, as an operator types it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from goosectl import timeline
from goosectl.main import main
from goosed_daemon import machines
from goosed_daemon.home import Home
from goosed_daemon.state import State, open_state
from goosed_daemon.token_key import TokenKey
from goosed_daemon.tokens import Tokens
from goosed_daemon.workflow import observe
from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.orchestrator import Orchestrator
from tests.daemon.state_backends import KEY, MAC, NOW, TTL
from tests.daemon.web_site import PROFILES

NAMES = {"machine": "web1", "profile": "rhel9-base", "installer": "kickstart"}
FLEET = {s.OFFERED: 1, s.SCRIPT_SERVED: 20, s.FETCHED: 30, s.RENDERED: 5, s.INSTALLING: 300}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path))
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "site.yaml").write_text(PROFILES)
    state = open_state(Home(tmp_path), None, NOW)
    for number in range(3):
        install(state, f"52:54:00:00:00:0{number}", FLEET)
    return state


def install(state: State, mac: str, seconds: dict[str, int], start: datetime = NOW) -> datetime:
    """Installs one machine that is in each step for so long; gives when it was last seen."""
    machines.arm(state, mac, 3, start, "operator:me")
    now = start
    offer = Tokens(state, TokenKey(KEY), TTL).offer(mac, now, "192.0.2.7", NAMES)
    steps = [*seconds, s.INSTALLED]
    with state.write() as transaction:
        for step, following in pairwise(steps):
            now += timedelta(seconds=seconds[step])
            observe(transaction, mac, following, now, offer.token.id)
    Orchestrator(state).turn(now)
    return now


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    return code, *capsys.readouterr()


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(ran(capsys, *arguments, "--json")[1])


def test_the_odd_step_of_a_machine_is_named_beside_the_fleets_median(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    install(state, MAC, FLEET | {s.FETCHED: 600})
    code, out, _ = ran(capsys, "workflow", "show", "web1")
    assert code == 0
    assert "! fetched       10 m 00 s" in out and "median 30 s" in out
    assert "odd one out: fetched of attempt 1 took 10 m 00 s; others of this profile 30 s" in out
    value = shown(capsys, "workflow", "show", MAC)
    assert value["odd"] == {"attempt": 1, "step": "fetched"}
    assert {step["step"]: step["seconds"] for step in value["steps"]}[s.INSTALLING] == 300


def test_a_machine_like_the_others_has_no_odd_step(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    install(state, MAC, FLEET)
    value = shown(capsys, "workflow", "show", "web1")
    assert [step["step"] for step in value["steps"] if step["outcome"] == "done"] == [
        s.ARMED, *FLEET,
    ]  # fmt: skip


def test_what_no_orchestrator_took_up_yet_is_shown_too(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    machines.arm(state, MAC, 3, NOW, "operator:me")
    Tokens(state, TokenKey(KEY), TTL).offer(MAC, NOW, "192.0.2.7", NAMES)
    assert shown(capsys, "workflow", "show", "web1")["step"] == s.OFFERED


def test_the_list_tells_where_each_machine_is_and_takes_a_state(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    machines.arm(state, MAC, 3, NOW, "operator:me")
    _, out, _ = ran(capsys, "workflow", "list")
    assert "waiting to be switched on" in out and out.count("installed") >= 3
    assert len(shown(capsys, "workflow", "list", "--state", "running")["items"]) == 4
    assert shown(capsys, "workflow", "list", "--state", "failed")["items"] == []
    code, _, err = ran(capsys, "workflow", "list", "--state", "runing")
    assert code == 2 and "there is: running, ready, failed, cancelled" in err


@pytest.mark.usefixtures("state")
def test_a_machine_that_was_never_armed_has_nothing_to_show(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = ran(capsys, "workflow", "show", "web1")
    assert code == 1 and "web1 was never armed" in err and "machine arm" in err


def test_watch_ends_with_the_installation_and_tells_how(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    machines.arm(state, MAC, 3, NOW, "operator:me")
    assert ran(capsys, "workflow", "cancel", "web1")[0] == 0
    code, out, err = ran(capsys, "workflow", "watch", "web1")
    assert code == 1 and "cancelled (disarmed): disarmed by operator:" in out
    assert "error: web1 is cancelled" in err


def test_the_export_has_every_fact(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    install(state, MAC, FLEET)
    value = json.loads(ran(capsys, "workflow", "export", "web1")[1])
    assert [fact["step"] for fact in value["facts"]] == [*FLEET, s.INSTALLED]
    assert value["facts"][0]["detail"] == NAMES and len(value["trace"]) == 32


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (4.25, "4.2 s"), (59.6, "1 m 00 s"), (200, "3 m 20 s"), (3720, "1 h 02 m"),
     (200_000, "2 d 07 h")],
)  # fmt: skip
def test_lengths_of_time_are_told_in_the_units_that_say_enough(seconds: float, text: str) -> None:
    assert timeline.span(seconds) == text


def test_a_long_list_is_read_page_by_page(
    state: State, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goosed_daemon.admin.models.LIMIT", 2)
    machines.arm(state, MAC, 3, NOW, "operator:me")
    found = shown(capsys, "workflow", "list")["items"]
    assert [one["mac"] for one in found] == [*(f"52:54:00:00:00:0{n}" for n in range(3)), MAC]


def test_a_list_of_several_pages_is_remarked_on_once(
    state: State,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("goosed_daemon.admin.models.LIMIT", 2)
    wrong = "---\napiVersion: goose/v1\nkind: Machine\nname: web2\nmac: 52:54:00:00:00:99\n"
    (tmp_path / "infra" / "site.yaml").write_text(PROFILES + wrong)
    code, out, err = ran(capsys, "machine", "list")
    assert code == 0 and out.count("52:54:00:00:00:0") == 3
    assert err.count("some infra profiles have errors") == 1


def test_the_deadline_that_is_shown_is_the_profiles(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    machines.arm(state, MAC, 3, NOW, "operator:me")
    Tokens(state, TokenKey(KEY), TTL).offer(MAC, NOW, "192.0.2.7", NAMES)
    assert shown(capsys, "workflow", "show", "web1")["deadline"] == "2026-11-24T12:05:00Z"
    limits = {s.OFFERED: timedelta(minutes=7)}
    Orchestrator(state, (), lambda workflow: limits).turn(NOW)
    for verb in ("show", "export"):
        assert shown(capsys, "workflow", verb, "web1")["deadline"] == "2026-11-24T12:07:00Z"
