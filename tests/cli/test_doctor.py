"""goosectl doctor: a site that is well, and one that is ill in each way it looks for."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from goosectl.main import main
from goosed_daemon import install_key
from goosed_daemon.home import Home
from tests.daemon.content import make_store
from tests.daemon.test_web_serve import daemon
from tests.daemon.web_site import FILES, PROFILES

MAC = "52:54:00:12:34:56"


@pytest.fixture
def home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """A site that lacks nothing."""
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "site.yaml").write_text(PROFILES)
    make_store(tmp_path / "store", FILES)
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path))
    monkeypatch.setenv("GOOSED_LISTEN", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("GOOSED_LAB", "true")
    for words in (
        ["key", "new", "release", "--out", str(tmp_path / "keys")],
        ["trust", "init", "--signer", str(tmp_path / "keys/release.pub"), "--yes"],
        ["token", "issue", "--mac", MAC],
    ):
        assert main(words) == 0
    install_key.load(Home(tmp_path).install_key)
    capsys.readouterr()
    return tmp_path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def examined(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, tuple[str, str, str]]]:
    code = main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    found = {f["check"]: (f["state"], f["text"], f["hint"]) for f in told["findings"]}
    assert told["wrong"] == sum(state == "wrong" for state, _, _ in found.values())
    return code, found


def test_a_site_that_is_well(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examined(capsys)
    assert code == 0
    assert {state for state, _, _ in found.values()} == {"good"}, found
    main(["doctor"])
    assert capsys.readouterr().out.endswith("nothing is wrong\n")


def test_a_site_that_cannot_sign_receipts_yet_is_told_so(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "keys" / "install.key").unlink()
    code, found = examined(capsys)
    assert (code, found["keys"][0]) == (0, "remark") and "receipts" in found["keys"][1]
    (home / "keys" / "install.key").write_bytes(b"short")
    (home / "keys" / "install.key").chmod(0o600)
    code, found = examined(capsys)
    assert code == 1
    ill(found, "keys", "such a key has 32 bytes")


def test_a_daemon_that_answers_is_no_fault(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with daemon(home) as (_, url):
        monkeypatch.setenv("GOOSED_LISTEN", url.removeprefix("http://"))
        code, found = examined(capsys)
    assert (code, found["port"][0]) == (0, "good")
    assert "answers" in found["port"][1]


def ill(found: dict[str, tuple[str, str, str]], check: str, words: str) -> None:
    state, text, hint = found[check]
    assert state == "wrong" and words in text and hint, found[check]


def test_what_is_wrong_is_named_with_what_to_do(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "infra" / "site.yaml").write_text(PROFILES.replace("initrd.img", "other.img"))
    with closing(sqlite3.connect(home / "state.db", isolation_level=None)) as database:
        main(["audit", "verify", "--write-anchor", str(home / "anchor")])
        database.execute("drop trigger events_are_not_changed")
        database.execute("update events set actor = 'x'")
    (home / "keys" / "token.key").chmod(0o666)
    for path in (home / "trust").glob("*"):
        if path.is_file():
            path.write_bytes(b"{}")
    capsys.readouterr()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("GOOSED_LISTEN", f"127.0.0.1:{taken.getsockname()[1]}")
        code, found = examined(capsys)
    assert code == 1
    ill(found, "content", "needs rhel9/images/pxeboot/other.img")
    ill(found, "state", "event 1, sealed by seal 1, was changed")
    ill(found, "keys", "others may read or change it")
    ill(found, "trust", "trust")
    ill(found, "port", "cannot be had")


def test_profiles_with_errors(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "infra" / "site.yaml").write_text(PROFILES.replace("installer:", "instaler:"))
    _, found = examined(capsys)
    ill(found, "profiles", "instaler")


def test_a_store_that_is_damaged(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "store" / "index.json").write_bytes(b"{")
    _, found = examined(capsys)
    ill(found, "store", "index.json")


def test_a_setting_that_is_none(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOSED_LISTNE", "127.0.0.1:1")
    _, found = examined(capsys)
    ill(found, "settings", "GOOSED_LISTNE")


def test_a_site_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path / "nowhere"))
    code, found = examined(capsys)
    assert code == 1
    ill(found, "home", "there is no folder")
    assert not (tmp_path / "nowhere").exists()
    assert os.listdir(tmp_path) == []


def test_admin_tokens_that_end_soon(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, ttl in (("long", "90d"), ("short", "13d"), ("gone", "1m")):
        assert main(["admin-token", "new", name, "--role", "viewer", "--ttl", ttl]) == 0
    with closing(sqlite3.connect(home / "state.db", isolation_level=None)) as database:
        database.execute(
            "update admin_tokens set expires_at = '2026-01-01T00:00:00.000000Z' where name = 'gone'"
        )
    capsys.readouterr()
    code, found = examined(capsys)
    state, text, hint = found["admins"]
    assert (code, state) == (0, "remark") and "revoke NAME" in hint
    assert "end soon: short (" in text and "ended: gone" in text and "long" not in text
    for name in ("short", "gone"):
        assert main(["admin-token", "revoke", name]) == 0
    capsys.readouterr()
    assert examined(capsys)[1]["admins"][:2] == ("good", "1 admin tokens are in force")


def test_a_postgresql_that_is_not_there(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_DSN", f"postgresql://goose:hunter2@127.0.0.1:{free_port()}/goose")
    code, found = examined(capsys)
    assert code == 1
    ill(found, "state", "PostgreSQL goose at 127.0.0.1")
    assert "hunter2" not in str(found)


def test_an_s3_service_that_is_not_there(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("S3_ENDPOINT", f"127.0.0.1:{free_port()}"), ("S3_BUCKET", "store"), ("S3_SECURE", "false"),
        ("S3_ACCESS_KEY", "site"), ("S3_SECRET_KEY", "hunter2"), ("S3_REGION", "us-east-1"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    code, found = examined(capsys)
    assert code == 1
    ill(found, "store", "127.0.0.1")
    assert "hunter2" not in str(found)


def test_a_state_of_an_older_version_is_not_brought_to_this_one_by_a_look(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(home / "state.db", isolation_level=None)) as database:
        database.execute("drop table admin_tokens")
        database.execute("delete from schema_migrations where name = 'admin_tokens'")
        _, found = examined(capsys)
        assert found["state"][0] == "remark" and "admin_tokens" in found["state"][1]
        tables = database.execute("select name from sqlite_master").fetchall()
    assert ("admin_tokens",) not in tables
