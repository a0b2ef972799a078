"""goosectl audit, as a person and as a script meet it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from goosectl.main import main

MAC = "52:54:00:12:34:56"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main([*words])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_what_was_done_is_shown_and_is_whole(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "machine", "arm", MAC)[0] == 0
    assert run(capsys, "token", "issue", "--mac", MAC)[0] == 0
    code, out, _ = run(capsys, "audit", "show", "--json")
    items = json.loads(out)["items"]
    assert code == 0
    assert [item["kind"] for item in items] == ["machine-armed", "token-issued"]
    assert items[0]["mac"] == MAC
    code, out, _ = run(capsys, "audit", "verify", "--write-anchor", "anchor")
    assert (code, out) == (0, "whole: 2 events under 1 seal\n")
    code, out, _ = run(capsys, "audit", "verify", "--anchor", "anchor", "--json")
    told = json.loads(out)
    assert (code, told["seals"], told["sealed"], told["waiting"]) == (0, 1, 2, 0)


def test_what_belongs_to_an_event_is_told_in_words(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "machine", "arm", MAC, "--tries", "1")
    run(capsys, "machine", "forget", MAC, "--yes")
    _, out, _ = run(capsys, "audit", "show")
    title, armed, forgotten = out.splitlines()
    assert "MAC" in title and armed.endswith("  tries=1")
    assert "rows=(" in forgotten and "machines=1" in forgotten
    assert "{" not in out and "'" not in out
    assert "  rows=(" in run(capsys, "machine", "show", MAC)[1]


def test_a_changed_log_is_refused_by_name(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "machine", "arm", MAC)
    run(capsys, "audit", "verify", "--write-anchor", "anchor")
    with closing(sqlite3.connect(home / "state.db", isolation_level=None)) as database:
        database.execute("drop trigger events_are_not_changed")
        database.execute("update events set actor = 'somebody else'")
    code, out, err = run(capsys, "audit", "verify")
    assert (code, out) == (1, "")
    assert "event 1, sealed by seal 1, was changed" in err
    assert "hint: " in err


def test_an_anchor_that_is_none_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "anchor").write_text("{}")
    code, _, err = run(capsys, "audit", "verify", "--anchor", "anchor")
    assert code == 1
    assert "anchor is not an anchor of the audit log" in err
    assert run(capsys, "audit", "verify", "--anchor", "nothing")[0] == 2


def test_a_site_without_a_state_has_nothing_to_show(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "audit", "show", "--refused", "--json")
    assert (code, json.loads(out)["items"]) == (0, [])
    assert not (home / "state.db").exists()
