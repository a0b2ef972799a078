"""goosectl agent, as an operator types it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from goosed_daemon import token_key
from goosed_daemon.agents import Agents
from goosed_daemon.home import Home
from goosed_daemon.state import open_state
from tests.cli.test_machines_and_tokens import Ran
from tests.daemon.state_backends import MAC
from tests.daemon.web_site import PROFILES


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path))
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "site.yaml").write_text(PROFILES)
    return Home(tmp_path)


def enrol(home: Home, secret: str) -> None:
    """What a daemon does for the agent that has `secret`."""
    now = datetime.now(UTC)
    state = open_state(home, None, now)
    agents = Agents(state, token_key.load(home.token_key), timedelta(days=7))
    token = agents.register(secret, None, now, "192.0.2.7").token
    assert token is not None
    agents.heartbeat(MAC, token, now, "192.0.2.7", "goose-agent/1")
    state.close()


def test_an_agent_enrols_by_an_operators_word(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Ran(capsys, "agent", "list", "--json").json == {"items": []}
    ran = Ran(capsys, "agent", "show", "web1", "--json")
    assert (ran.code, ran.json["code"]) == (1, "agent-unknown")
    told = Ran(capsys, "agent", "re-enrol", "web1", "--ttl", "1h", "--json").json
    assert (told["mac"], told["name"], told["command"]) == (MAC, "web1", "goose-agent enrol")
    (row,) = Ran(capsys, "agent", "list", "--json").json["items"]
    assert (row["state"], row["may_enrol_until"]) == ("not enrolled", told["expires_at"])
    enrol(home, told["enrolment"])
    (row,) = Ran(capsys, "agent", "list", "--json").json["items"]
    assert (row["name"], row["state"], row["seen_by"]) == ("web1", "active", "192.0.2.7")
    assert (row["rotations"], row["version"]) == (0, "goose-agent/1")
    shown = Ran(capsys, "agent", "show", "web1", "--json").json
    kinds = [event["event"] for event in shown["events"]]
    assert kinds == ["enrolment-issued", "agent-enrolled", "agent-alive"]
    text = Ran(capsys, "agent", "show", "web1").out
    assert "agent: seen 20" in text and "its token lasts until" in text
    assert told["enrolment"] not in text
    (machine,) = Ran(capsys, "machine", "list", "--json").json["items"]
    assert machine["agent"] == "active" and machine["seen_at"]
    assert "agent: seen 20" in Ran(capsys, "machine", "show", "web1").out


def test_an_agent_is_cut_off(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    told = Ran(capsys, "agent", "re-enrol", MAC, "--json").json
    enrol(home, told["enrolment"])
    refused = Ran(capsys, "agent", "revoke", "web1", "--json")
    assert refused.code == 2, "nobody is there to be asked"
    assert Ran(capsys, "agent", "revoke", "web1", "--yes", "--json").json["state"] == "revoked"
    (row,) = Ran(capsys, "agent", "list", "--json").json["items"]
    assert row["state"] == "revoked"
    assert "cut off at" in Ran(capsys, "agent", "show", "web1").out
    assert "before: revoked" in Ran(capsys, "agent", "revoke", "web1", "--yes").out


@pytest.mark.usefixtures("home")
def test_what_is_wrong_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "agent", "revoke", "web1", "--yes", "--json")
    assert (ran.code, ran.json["code"]) == (1, "agent-unknown")
    ran = Ran(capsys, "agent", "re-enrol", "web1", "--ttl", "1y")
    assert ran.code == 2 and "--ttl: " in ran.err
    ran = Ran(capsys, "agent", "re-enrol", "wbe1", "--json")
    assert ran.json["hint"] == "did you mean web1?"
