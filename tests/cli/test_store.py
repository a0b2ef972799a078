"""goosectl store: what the site holds, for people and for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from goosectl.main import main
from tests.daemon.content import make_store


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path))
    make_store(tmp_path / "store", {"big": bytes(300_000), "small": b"12345"})


def test_sizes_are_rounded_for_people_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "ls"]) == 0
    assert "300.0 kB" in capsys.readouterr().out
    assert main(["store", "ls", "--json"]) == 0
    (item,) = json.loads(capsys.readouterr().out)["items"]
    assert sorted(item) == ["bundle", "bytes", "current", "files", "pinned", "version"]
    assert (item["bytes"], item["files"], item["current"]) == (300_005, 2, True)


def test_a_bundles_files_have_bytes_too(capsys: pytest.CaptureFixture[str]) -> None:
    bundle = _only_bundle(capsys)
    assert main(["store", "ls", bundle, "--json"]) == 0
    items = json.loads(capsys.readouterr().out)["items"]
    assert {item["path"]: item["bytes"] for item in items} == {"big": 300_000, "small": 5}
    assert main(["store", "ls", f"{bundle}@0"]) == 1
    assert "not in the store" in capsys.readouterr().err


def _only_bundle(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["store", "ls", "--json"]) == 0
    (item,) = json.loads(capsys.readouterr().out)["items"]
    return str(item["bundle"])
