"""goosectl rollout, as an operator types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from goosectl.main import main
from tests.daemon.web_site import PROFILES

MORE = """\
---
apiVersion: goose/v1
kind: Machine
name: {name}
mac: 52:54:00:00:02:{number:02x}
profile: rhel9-base
labels:
  role: {role}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path))
    (tmp_path / "infra").mkdir()
    machines = "".join(
        MORE.format(name=f"m{n}", number=n, role="worker" if n % 2 else "db") for n in range(6)
    )
    (tmp_path / "infra" / "site.yaml").write_text(PROFILES + machines)


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["rollout", *arguments])
    return code, *capsys.readouterr()


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(ran(capsys, *arguments, "--json")[1])


def test_a_dry_run_lists_the_selected_machines_and_begins_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = shown(capsys, "start", "--selector", "role=worker", "--dry-run")
    assert [item["name"] for item in found["items"]] == ["m1", "m3", "m5"]
    assert found["id"] is None
    assert shown(capsys, "list")["items"] == []


def test_a_rollout_is_begun_paused_resumed_and_ended(capsys: pytest.CaptureFixture[str]) -> None:
    begun = shown(capsys, "start", "--selector", "role=db", "--at-once", "2", "--yes")
    assert (begun["state"], begun["machines"], begun["at_once"]) == ("running", 3, 2)
    assert shown(capsys, "pause")["state"] == "paused"
    assert shown(capsys, "resume", begun["id"])["state"] == "running"
    code, out, _ = ran(capsys, "abort", "--yes")
    assert code == 0 and "aborted by operator:" in out and "3 wait" in out
    code, _, err = ran(capsys, "resume")
    assert code == 1 and "aborted" in err and "hint: start another" in err


def test_nothing_is_erased_without_a_yes(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = ran(capsys, "start")
    assert code == 2 and "Erase and install 7 machines (m0, m1, m2, m3, m4, m5, web1)?" in err
    assert shown(capsys, "list")["items"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--selector", "role=none"), "no machine is selected"),
        (("--selector", "role"), "selector"),
        (("--profile", "rhel99"), "there is no OSProfile 'rhel99'"),
    ],
)
def test_what_selects_nothing_is_told(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    code, _, err = ran(capsys, "start", *arguments, "--yes")
    assert code == 2 and words in err


def test_without_a_rollout_there_is_nothing_to_show(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = ran(capsys, "status")
    assert code == 1 and "no rollout was started yet" in err
