"""goosectl pki, as a person and as a script meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from goosectl.main import main


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path))
    return tmp_path


def test_an_authority_is_made_issues_and_is_shown(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pki", "init", "--permit", "site-a.example"]) == 0
    assert str(home / "pki" / "ca.crt") in capsys.readouterr().out
    assert main(["pki", "issue", "goosed", "--dns", "Goose.Site-A.example", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["names"] == ["goose.site-a.example"]
    assert Path(made["key"]).stat().st_mode & 0o777 == 0o600
    assert main(["pki", "issue", "short", "--dns", "site-a.example", "--days", "7"]) == 0
    capsys.readouterr()
    assert main(["pki", "show"]) == 0
    out = capsys.readouterr().out
    assert "ENDS SOON, until" in out and made["fingerprint"] in out
    main(["pki", "show", "--json"])
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["issued"]] == [
        "goosed",
        "short",
    ]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["show"], 1, "holds no certification authority"),
        (["issue", "goosed", "--dns", "site-a.example"], 1, "holds no certification authority"),
        (["issue", "../x", "--dns", "site-a.example"], 2, "cannot name a file"),
        (["init", "--permit", "nowhere_at_all"], 1, "is not a DNS name"),
        (["init"], 2, "--permit"),
    ],
)
def test_what_cannot_be_done_is_told_with_what_to_do(
    capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
) -> None:
    assert main(["pki", *words]) == code
    err = capsys.readouterr().err
    assert told in err and "hint: " in err
