"""goosectl machine, token and db, as an operator types them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from goosectl.main import main
from goosed_daemon.state.sqlite import SqliteState
from tests.daemon.state_backends import MAC
from tests.daemon.web_site import PROFILES


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path))
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "site.yaml").write_text(PROFILES.replace(MAC, f"[{MAC}, {SECOND}]"))
    return tmp_path


SECOND = "52:54:00:12:34:99"


class Ran:
    """A command's exit code and what it wrote."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        self.code = main(list(arguments))
        self.out, self.err = capsys.readouterr()

    @property
    def json(self) -> Any:
        """The one object on stdout, or the error's on stderr."""
        return json.loads(self.out or self.err.splitlines()[-1])


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("spelling", ["web1", MAC, MAC.upper(), MAC.replace(":", "-"), SECOND])
def test_a_machine_is_armed_by_name_and_by_every_mac(
    capsys: pytest.CaptureFixture[str], spelling: str
) -> None:
    ran = Ran(capsys, "machine", "arm", spelling, "--json")
    assert ran.json == {"mac": MAC, "name": "web1", "armed": True, "tries_left": 3}
    (row,) = Ran(capsys, "machine", "list", "--json").json["items"]
    assert (row["name"], row["mac"], row["armed"], row["tries_left"]) == ("web1", MAC, True, 3)
    assert Ran(capsys, "machine", "disarm", spelling).code == 0
    (row,) = Ran(capsys, "machine", "list", "--json").json["items"]
    assert (row["armed"], row["tries_left"], row["state"]) == (False, 0, "disarmed")


@pytest.mark.usefixtures("home")
def test_show_tells_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    assert "never armed" in Ran(capsys, "machine", "show", "web1").out
    Ran(capsys, "machine", "arm", "web1", "--tries", "5")
    Ran(capsys, "token", "issue", "--mac", "web1")
    shown = Ran(capsys, "machine", "show", "web1", "--json").json
    assert [event["event"] for event in shown["events"]] == ["machine-armed", "token-issued"]
    assert shown["tries_left"] == 5
    text = Ran(capsys, "machine", "show", "web1").out
    assert "5 tries left" in text and "machine-armed" in text


@pytest.mark.usefixtures("home")
def test_a_name_that_no_profile_has_is_refused_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran = Ran(capsys, "machine", "arm", "wbe1", "--json")
    assert (ran.code, ran.json["code"]) == (1, "machine-unknown")
    assert ran.json["hint"] == "did you mean web1?"


@pytest.mark.usefixtures("home")
def test_a_machine_without_a_profile_can_be_armed_but_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran = Ran(capsys, "machine", "arm", "52:54:00:00:00:01")
    assert ran.code == 0 and "no Machine document describes" in ran.err


def test_machines_are_armed_by_mac_before_there_are_profiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path / "new"))
    assert Ran(capsys, "machine", "arm", MAC, "--json").json["mac"] == MAC
    ran = Ran(capsys, "machine", "arm", "52:54:00", "--json")
    assert (ran.code, ran.json["code"]) == (2, "usage")


def test_issue_gives_a_token_that_is_stored_only_as_its_hash(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = Ran(capsys, "token", "issue", "--mac", MAC, "--ttl", "5m", "--json")
    issued = ran.json
    assert {"token", "mac", "expires_at", "url"} <= set(issued)
    assert issued["mac"] == MAC
    assert issued["url"].endswith(f"/v1/render/kickstart?token={issued['token']}")
    files = [path for path in home.rglob("*") if path.is_file() and path.name != "site.yaml"]
    assert {"state.db", "token.key"} <= {path.name for path in files}
    for path in files:
        assert issued["token"].encode() not in path.read_bytes()
    listed = Ran(capsys, "token", "list", "--json")
    assert issued["token"] not in listed.out
    (row,) = listed.json["items"]
    assert (row["id"], row["state"], row["mac"]) == (issued["id"], "active", MAC)


@pytest.mark.usefixtures("home")
def test_a_waiting_token_is_told_of_before_it_erases_a_disk(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran = Ran(capsys, "token", "issue", "--mac", MAC)
    assert "the next network boot of web1 erases its disk" in ran.out and ran.err == ""
    (token,) = Ran(capsys, "token", "list", "--json").json["items"]
    text = Ran(capsys, "machine", "show", "web1").out
    assert f"never armed; a token waits until {token['expires_at']}: it INSTALLS at its" in text
    assert "boots its disk" not in text
    assert Ran(capsys, "machine", "show", "web1", "--json").json["token"] == token["id"]
    (row,) = Ran(capsys, "machine", "list", "--json").json["items"]
    assert (row["token"], row["token_expires_at"]) == (token["id"], token["expires_at"])
    assert token["expires_at"] in Ran(capsys, "machine", "list").out
    Ran(capsys, "machine", "arm", "web1", "--tries", "2")
    text = Ran(capsys, "machine", "show", "web1").out
    assert "it INSTALLS at its next network boot (2 tries left)" in text
    Ran(capsys, "machine", "disarm", "web1")
    assert "it boots its disk" in Ran(capsys, "machine", "show", "web1").out
    assert Ran(capsys, "machine", "show", "web1", "--json").json["token"] is None


@pytest.mark.usefixtures("home")
def test_a_token_for_a_machine_without_a_profile_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran = Ran(capsys, "token", "issue", "--mac", "52:54:00:00:00:01")
    assert ran.code == 0 and "no Machine document describes 52:54:00:00:00:01" in ran.err
    rows = Ran(capsys, "machine", "list", "--json").json["items"]
    assert [(row["name"], row["mac"], bool(row["token"])) for row in rows] == [
        ("web1", MAC, False),
        (None, "52:54:00:00:00:01", True),
    ]


def test_an_install_is_stopped_whatever_the_profiles_are_like(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Ran(capsys, "machine", "arm", "web1")
    (home / "infra" / "site.yaml").write_text("kind: Sit\n")
    shown = Ran(capsys, "machine", "show", MAC)
    assert shown.code == 0 and "INSTALLS" in shown.out and "goosectl infra validate" in shown.err
    assert Ran(capsys, "token", "list", "--mac", MAC).code == 0
    ran = Ran(capsys, "machine", "disarm", MAC)
    assert ran.code == 0 and "the MAC is taken as it is" in ran.err
    assert "never armed" not in ran.err
    listed = Ran(capsys, "machine", "list")
    assert listed.code == 0 and "listed by MAC alone" in listed.err
    (row,) = Ran(capsys, "machine", "list", "--json").json["items"]
    assert (row["mac"], row["armed"], row["state"]) == (MAC, False, "disarmed")
    assert "is it the machine's first MAC?" in Ran(capsys, "machine", "disarm", SECOND).err
    for refused in (["disarm", "web1"], ["arm", MAC]):
        ran = Ran(capsys, "machine", *refused, "--json")
        assert (ran.code, ran.json["code"]) == (1, "invalid-document")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("token list", 0), (f"token list --mac {MAC}", 0), ("machine list", 0),
        (f"machine show {MAC}", 0), ("db status", 1),
    ],
)  # fmt: skip
def test_who_only_looks_makes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    code: int,
) -> None:
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path / "new"))
    assert Ran(capsys, *command.split(), "--json").code == code
    assert list(tmp_path.iterdir()) == []


def test_tokens_are_listed_without_their_key(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Ran(capsys, "token", "issue", "--mac", MAC)
    (home / "keys" / "token.key").unlink()
    assert len(Ran(capsys, "token", "list", "--json").json["items"]) == 1
    assert not (home / "keys" / "token.key").exists()


@pytest.mark.usefixtures("home")
def test_a_token_is_revoked(capsys: pytest.CaptureFixture[str]) -> None:
    issued = Ran(capsys, "token", "issue", "--mac", MAC, "--json").json
    assert Ran(capsys, "token", "revoke", issued["id"]).code == 0
    (row,) = Ran(capsys, "token", "list", "--mac", MAC, "--json").json["items"]
    assert row["state"] == "revoked"
    unknown = Ran(capsys, "token", "revoke", "00000000-0000-4000-8000-000000000000", "--json")
    assert (unknown.code, unknown.json["code"]) == (1, "token-unknown")
    assert Ran(capsys, "token", "revoke", "nonsense", "--json").code == 2


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("ttl", ["0s", "30", "8d", "soon"])
def test_a_time_to_live_of_another_form_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], ttl: str
) -> None:
    ran = Ran(capsys, "token", "issue", "--mac", MAC, "--ttl", ttl, "--json")
    assert (ran.code, ran.json["code"]) == (2, "usage")


@pytest.mark.usefixtures("home")
def test_the_state_is_migrated_once(capsys: pytest.CaptureFixture[str]) -> None:
    pending = Ran(capsys, "db", "status", "--json")
    assert pending.code == 1
    assert {row["applied_at"] for row in pending.json["items"]} == {None}
    applied = Ran(capsys, "db", "migrate", "--json").json["applied"]
    assert applied == [row["migration"] for row in pending.json["items"]]
    assert Ran(capsys, "db", "migrate", "--json").json == {"applied": []}
    assert Ran(capsys, "db", "status").code == 0


def test_an_edited_history_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Ran(capsys, "db", "migrate")
    with sqlite3.connect(home / "state.db") as database:
        database.execute("update schema_migrations set checksum = 'x' where number = 2")
    database.close()
    ran = Ran(capsys, "machine", "arm", "web1", "--json")
    assert (ran.code, ran.json["code"]) == (1, "migration-failed")
    state = SqliteState(home / "state.db")
    with state.read() as transaction:
        assert transaction.execute("select count(*) from machines") == [(0,)]
    state.close()
