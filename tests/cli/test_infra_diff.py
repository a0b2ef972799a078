"""goosectl infra diff: what a change of the profiles would do, before it is made."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from goosectl.main import main
from goosed_daemon import infra, machines
from goosed_daemon.home import Home
from goosed_daemon.infra import difference
from goosed_daemon.state import open_state
from tests.daemon.infra_site import HASH, MACHINE_YAML, PROFILE_YAML, SITE_YAML
from tests.parts import part

OTHER = MACHINE_YAML.replace("db-1", "db-2").replace("56", "57")
NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write(tmp_path / "old", SITE_YAML, PROFILE_YAML, MACHINE_YAML, OTHER)


def write(folder: Path, *documents: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "x.yaml").write_text("---\n".join(documents))
    return folder


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    code = main(["infra", "diff", *map(str, args)])
    said = capsys.readouterr()
    return code, said.out, said.err


def changes(capsys: pytest.CaptureFixture[str], *args: object) -> dict[str, Any]:
    code, out, _ = run(capsys, *args, "--json")
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_nothing_changes(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, old, old)
    assert (code, out) == (0, "nothing changes; 2 stay as they are\n")


def test_machines_that_change_alike_are_told_together(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = PROFILE_YAML + "packages: [vim]\n"
    new = write(tmp_path / "new", SITE_YAML, profile, MACHINE_YAML, OTHER)
    _, out, _ = run(capsys, old, new)
    assert out.splitlines()[:4] == [
        "changed: db-1, db-2",
        "  once installed it stays as it is until it is armed again",
        "--- old kickstart of db-1",
        "+++ new kickstart of db-1",
    ]
    assert [line for line in out.splitlines() if line[0:1] == "+"][1:] == ["+vim"]
    assert out.endswith("\n2 changed; 0 stay as they are\n")


def test_a_group_reaches_its_machines_only(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = "apiVersion: goose/v1\nkind: Group\nname: g\nselector: {matchLabels: {a: b}}\n"
    new = write(
        tmp_path / "new", SITE_YAML, PROFILE_YAML, MACHINE_YAML, OTHER + "labels: {a: b}\n",
        group + "console: ttyS0\n",
    )  # fmt: skip
    found = changes(capsys, old, new)
    assert (found["changed"], found["unchanged"]) == (1, 1)
    (change,) = found["machines"]
    assert change["machine"] == "db-2"
    assert [one["name"] for one in change["documents"]] == ["boot script", "kickstart"]
    assert "+console=ttyS0" not in change["documents"][0]["diff"], "a whole line is shown"
    assert " console=ttyS0" in change["documents"][0]["diff"]


def test_a_change_that_no_document_shows_is_none(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = write(tmp_path / "new", SITE_YAML, PROFILE_YAML, MACHINE_YAML + "labels: {a: b}\n", OTHER)
    assert changes(capsys, old, new)["unchanged"] == 2


def test_machines_that_come_and_go(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    third = MACHINE_YAML.replace("db-1", "db-3").replace("56", "58")
    new = write(tmp_path / "new", SITE_YAML, PROFILE_YAML, MACHINE_YAML, third)
    found = changes(capsys, old, new)
    assert [(c["machine"], c["what"]) for c in found["machines"]] == [
        ("db-2", "removed"),
        ("db-3", "added"),
    ]
    _, out, _ = run(capsys, old, new)
    assert "removed: db-2\n  it boots its own disk: no document knows it\n" in out
    assert "added: db-3\n  it is not installed until it is armed\n" in out
    assert out.endswith("1 added, 1 removed; 1 stay as they are\n")


def test_what_a_machine_is_installed_by_may_change_its_file_altogether(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    debian = PROFILE_YAML.replace("kickstart", "preseed").replace(
        "release: rhel9", "release: debian12"
    )
    new = write(tmp_path / "new", SITE_YAML, debian, MACHINE_YAML, OTHER)
    (change, _) = changes(capsys, old, new)["machines"]
    assert [one["name"] for one in change["documents"]] == ["boot script", "kickstart", "preseed"]


def test_secrets_are_hidden_and_yet_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = HASH.replace("abcdefgh", "hgfedcba")
    old = write(
        tmp_path / "a", SITE_YAML + f"rootPasswordHash: {HASH}\n", PROFILE_YAML, MACHINE_YAML
    )
    new = write(
        tmp_path / "b", SITE_YAML + f"rootPasswordHash: {other}\n", PROFILE_YAML, MACHINE_YAML
    )
    code, out, _ = run(capsys, old, new)
    assert code == 0
    assert "-rootpw --iscrypted '(not shown, no. 1)'" in out
    assert "+rootpw --iscrypted '(not shown, no. 2)'" in out
    assert HASH not in out
    assert other not in out
    ref = "rootPasswordHash: {secretFrom: {file: root}}\n"
    new = write(tmp_path / "c", SITE_YAML + ref, PROFILE_YAML, MACHINE_YAML)
    assert "+rootpw --iscrypted '(secret from the file root)'" in run(capsys, old, new)[1]


def test_the_sites_own_state_says_what_is_armed(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path / "home"))
    moved = MACHINE_YAML.replace("56", "66")
    own = write(
        tmp_path / "home" / "infra", SITE_YAML + "timezone: Asia/Tokyo\n", PROFILE_YAML, moved,
        OTHER.replace("57", "67").replace("db-2", "db-9"),
    )  # fmt: skip
    state = open_state(Home(tmp_path / "home"), None, NOW)
    for mac in ("52:54:00:12:34:57", "52:54:00:12:34:66"):
        machines.arm(state, mac, 3, NOW, "operator")
    state.close()
    found = {change["machine"]: change["effects"] for change in changes(capsys, old)["machines"]}
    assert found["db-1"] == [
        "what is known of it stays with 52:54:00:12:34:56: it is not armed any more",
        "it is armed: its next install is the new one",
    ]
    assert found["db-2"][1] == "it is armed, which is of no use any more: disarm it"
    assert own.is_dir()


def test_a_git_revision(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git: list[str | Path] = [
        part("git"),
        "-C",
        old.parent,
        "-c",
        "user.name=t",
        "-c",
        "user.email=t",
    ]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "old"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    write(old, SITE_YAML + "keyboard: de\n", PROFILE_YAML, MACHINE_YAML, OTHER)
    assert changes(capsys, "HEAD", old)["changed"] == 2
    write(old, "kind: Sit\n")
    subprocess.run([*git, "commit", "-q", "-am", "two"], check=True)
    good = write(old, SITE_YAML, PROFILE_YAML, MACHINE_YAML)
    code, _, err = run(capsys, "HEAD", good)
    assert code == 1
    assert "HEAD:old/x.yaml:1:7: kind: no such kind 'Sit'" in err
    assert changes(capsys, "HEAD~1", good)["removed"] == 1


@pytest.mark.parametrize("named", ["nowhere", "--output=/x", "HEAD~1000"])
def test_neither_folder_nor_revision(
    old: Path, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "--", named, old)
    assert code == 2
    assert f"{named} is neither a folder nor a revision" in err


def test_what_differs_in_no_document_is_not_rendered(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand machines that stay as they are cost comparisons, not renders."""
    rendered = []
    monkeypatch.setattr(difference, "_all", lambda *args: rendered.append(args) or {})
    assert list(difference.differences(infra.load(old), infra.load(old))) == []
    assert rendered == []
