"""goosectl store: what the site holds, for people and for scripts."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from bundles import digest
from bundles.format import repair_request
from bundles.site.catalog import Catalog
from bundles.store.local import LocalStore
from goosectl.main import main
from goosed_daemon import audit
from goosed_daemon.home import Home
from goosed_daemon.state import open_state
from tests.bundles.making import NOW
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


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """The site's store, with a second version of its bundle."""
    return make_store(tmp_path / "store", {"new": b"new" * 9}, version="2.0", sequence=2)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_fsck_ends_with_one_and_the_next_step(
    store: LocalStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "store", "fsck")[0] == 0
    hurt = store.path(digest.of(b"12345"))
    assert hurt is not None
    hurt.write_bytes(b"12346")
    request = tmp_path / "ask.json"
    code, out, err = run(capsys, "store", "fsck", "--request", str(request))
    assert code == 1
    assert f"damaged  {digest.of(b'12345')}: its 5 bytes hash to" in out
    assert "site-base 1.0: small" in out
    assert "put aside as" in out
    assert "bundle repair" in err
    asked = repair_request.read(request.read_bytes(), "ask.json")
    assert (asked.name, asked.version) == ("site-base", "1.0")
    assert [wanted.digest for wanted in asked.layers] == [digest.of(b"12345")]
    code, out, err = run(capsys, "store", "fsck", "--json")
    assert (code, out) == (1, "")
    (fault,) = json.loads(err)["details"]["faults"]
    assert (fault["fault"], fault["uses"][0]["path"]) == ("missing", "small")


def test_damage_in_two_versions_writes_two_requests(
    store: LocalStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for data in (b"12345", b"new" * 9):
        path = store.path(digest.of(data))
        assert path is not None
        path.unlink()
    code, _, err = run(capsys, "store", "fsck", "--request", str(tmp_path / "ask.json"))
    assert code == 1
    for version in ("1.0", "2.0"):
        assert f"ask-site-base-{version}.json" in err
        assert (tmp_path / f"ask-site-base-{version}.json").exists()


def test_gc_asks_and_does_nothing_when_nobody_answers(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(blob.digest for blob in store.blobs())
    code, out, err = run(capsys, "store", "gc", "--keep", "1")
    assert (code, "drop   site-base 1.0" in out, "--yes" in err) == (2, True, True)
    code, out, _ = run(capsys, "store", "gc", "--keep", "1", "--dry-run")
    assert (code, "could be freed" in out) == (0, True)
    assert sorted(blob.digest for blob in store.blobs()) == before


def test_gc_frees_and_is_written_down(
    store: LocalStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "store", "gc", "--keep", "1", "--yes", "--json")
    told = json.loads(out)
    assert (code, told["removed"]) == (0, True)
    assert told["dropped"] == [{"bundle": "site-base", "version": "1.0"}]
    assert told["bytes"] > 300_005
    assert run(capsys, "store", "gc", "--yes") == (0, "nothing to remove\n", "")
    assert _events(tmp_path) == [("version-forgotten", "site-base", "1.0")]


def test_pins_and_switches_as_a_person_types_them(
    store: LocalStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "store", "pin", "site-base@1.0")[0] == 0
    assert run(capsys, "store", "switch", "site-base@1.0")[0] == 0
    items = json.loads(run(capsys, "store", "ls", "--json")[1])["items"]
    assert [(item["current"], item["pinned"]) for item in items] == [(True, True), (False, False)]
    assert "is pinned" in run(capsys, "store", "forget", "site-base@1.0", "--yes")[2]
    assert run(capsys, "store", "pin", "site-base@1.0", "--remove")[0] == 0
    assert "switch site-base@2.0" in run(capsys, "store", "forget", "site-base", "--yes")[2]
    assert run(capsys, "store", "switch", "site-base@2.0")[0] == 0
    assert run(capsys, "store", "forget", "site-base@1.0", "--dry-run")[0] == 0
    assert run(capsys, "store", "forget", "site-base@1.0", "--yes")[0] == 0
    assert [ref.version for ref in store.refs().bundles] == ["2.0"]
    assert _events(tmp_path) == [
        ("version-switched", "site-base", "1.0"),
        ("version-switched", "site-base", "2.0"),
        ("version-forgotten", "site-base", "1.0"),
    ]


def test_a_version_that_is_not_whole_is_not_switched_to(
    store: LocalStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hurt = store.path(digest.of(b"12345"))
    assert hurt is not None
    hurt.unlink()
    code, _, err = run(capsys, "store", "switch", "site-base@1.0")
    assert (code, "not whole" in err, "fsck" in err) == (1, True, True)
    assert Catalog(store).find("site-base", None, "new") is not None
    assert _events(tmp_path) == []


def test_get_copies_a_file_out(
    store: LocalStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "copy"
    assert run(capsys, "store", "get", "site-base@1.0", "big", "--out", str(target))[0] == 0
    assert target.read_bytes() == bytes(300_000)
    code, _, err = run(capsys, "store", "get", "site-base@1.0", "bik")
    assert (code, "did you mean big?" in err) == (1, True)


def test_get_copies_a_folder_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it or nothing, and only where nothing is."""
    files = {"os/a/b": b"1", "os/c": [bytes(100_000), bytes(5)], "other": b"2"}
    store = make_store(tmp_path / "folders" / "store", files)
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path / "folders"))
    target = tmp_path / "copy"
    assert run(capsys, "store", "get", "site-base", "os", "--out", str(target))[0] == 0
    there = {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    assert there == {"a/b": b"1", "c": bytes(100_005)}
    code, _, err = run(capsys, "store", "get", "site-base", "os/", "--out", str(target))
    assert (code, "is already there" in err) == (1, True)
    hurt = store.path(digest.of(b"1"))
    assert hurt is not None
    hurt.write_bytes(b"3")
    other = tmp_path / "other"
    code, _, err = run(capsys, "store", "get", "site-base", "os", "--out", str(other))
    assert (code, "damaged" in err) == (1, True)
    assert [path.name for path in tmp_path.iterdir() if "other" in path.name] == []


def _events(home: Path) -> list[tuple[str, str, str]]:
    if not Home(home).state.exists():
        return []
    with closing(open_state(Home(home), None, NOW)) as state:
        return [(e.kind, e.detail["bundle"], e.detail["version"]) for e in audit.events(state)]
