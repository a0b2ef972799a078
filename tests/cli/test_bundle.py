"""goosectl bundle and store, as a person and as a script meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from goosectl.main import main
from goosed_daemon.home import Home
from goosed_daemon.state import connect

RECIPE = """\
apiVersion: goose/v1
kind: Bundle
name: base
version: {version}
audience: {audience}
contents:
  - tree: ./content
    as: os
"""


class Person:
    """Types commands at a site, from a folder with a key and content."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        (folder / "content").mkdir()
        (folder / "content/motd").write_text("welcome\n")
        self.ok("key", "new", "release")
        self.ok("trust", "init", "--signer", "release.pub", "--yes")

    def run(self, *words: str) -> tuple[int, str, str]:
        code = main(list(words))
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def ok(self, *words: str) -> str:
        code, out, err = self.run(*words)
        assert code == 0, err
        return out

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))

    def build(self, version: str = "1.0.0", audience: str = "any", *options: str) -> Any:
        recipe = self.folder / "base.yaml"
        recipe.write_text(RECIPE.format(version=version, audience=audience))
        out = ("--key", "release", "--out", f"media-{version}")
        return self.json("bundle", "build", "base.yaml", *out, *options)


@pytest.fixture
def person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Person:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    return Person(tmp_path, capsys)


def test_build_names_every_file_it_wrote(person: Person) -> None:
    built = person.build()
    assert {key: built[key] for key in ("bundle", "version", "sequence")} == {
        "bundle": "base",
        "version": "1.0.0",
        "sequence": 10**12,
    }
    assert sorted(built["files"]) == sorted(map(str, Path("media-1.0.0").iterdir()))
    assert built["bytes"] == Path(built["files"][0]).stat().st_size


def test_import_says_what_it_did(person: Person) -> None:
    person.build()
    done = person.json("bundle", "import", "media-1.0.0")
    assert (done["bundle"], done["state"], done["missing"]) == ("base", "complete", [])
    assert done["bytes_read"] > done["bytes_written"] > 8
    again = person.json("bundle", "import", "media-1.0.0")
    assert (again["state"], again["bytes_written"]) == ("complete", 0)
    assert "served at /v1/artifacts/base/" in person.ok("bundle", "import", "media-1.0.0")


def test_incomplete_import_names_what_is_to_come(person: Person) -> None:
    large = bytes(range(251)) * 4000
    for n in range(3):
        (person.folder / f"content/{n}").write_bytes(large + bytes([n]))
    built = person.build("1.0.0", "any", "--volume-size", "1200kB")
    first, *_, last = [path for path in built["files"] if path.endswith(".tar")]
    done = person.json("bundle", "import", last)
    assert done["state"] == "incomplete"
    assert 1 in done["missing"]
    assert "still to come are volumes" in person.ok("bundle", "import", last)
    assert person.json("bundle", "list")["items"] == []
    assert person.json("bundle", "import", "media-1.0.0")["state"] == "complete"
    assert Path(first).exists()


def test_verify_says_what_is_good_and_what_an_import_would_refuse(person: Person) -> None:
    person.build("1.0.0", "[elsewhere]")
    said = person.json("bundle", "verify", "media-1.0.0")
    assert (said["signers"], said["volumes"], said["missing"]) == (["release"], [1], [])
    assert said["remarks"] == ["wrong-audience"]
    assert "1 of 1 volumes read: good" in person.ok("bundle", "verify", "media-1.0.0")


def test_verify_names_the_damaged_file(person: Person) -> None:
    volume = Path(person.build()["files"][0])
    data = volume.read_bytes()
    volume.write_bytes(data.replace(b"welcome\n", b"Welcome\n"))
    code, out, err = person.run("bundle", "verify", "media-1.0.0", "--json")
    refusal = json.loads(err.splitlines()[-1])
    assert (code, out, refusal["code"]) == (1, "", "damaged-blob")
    assert refusal["details"]["entry"] == "os/motd"
    code, _, err = person.run("bundle", "verify", "media-1.0.0")
    assert code == 1
    assert "os/motd is damaged" in err
    assert "hint: copy the volume again" in err


def test_inspect_without_a_trust_root_says_so(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.build()
    told = person.json("bundle", "inspect", "media-1.0.0", "--files")
    assert (told["trusted"], told["signers"]) == (True, ["release"])
    assert [(file["path"], file["size"]) for file in told["files"]][:1] == [("os/motd", 8)]
    monkeypatch.setenv("GOOSE_HOME", str(person.folder / "elsewhere"))
    told = person.json("bundle", "inspect", "media-1.0.0")
    assert told["trusted"] is False
    assert told["signers"][0].startswith("SHA256:")
    assert "NOT CHECKED against a trust root" in person.ok("bundle", "inspect", "media-1.0.0")


def test_inspect_names_files_as_they_are_served(person: Person) -> None:
    (person.folder / "base.yaml").write_text(
        RECIPE.format(version="1.0.0", audience="any")
        + "  - file: ./content/motd\n    as: site/motd\n"
        + "  - file: ./content/motd\n    as: issue\n"
    )
    person.ok("bundle", "build", "base.yaml", "--key", "release", "--out", "media")
    person.ok("bundle", "import", "media")
    inspected = person.json("bundle", "inspect", "media", "--files")["files"]
    stored = person.json("store", "ls", "base")["items"]
    assert [file["path"] for file in inspected][:3] == ["os/motd", "site/motd", "issue"]
    assert [file["path"] for file in inspected] == [file["path"] for file in stored]


def overruled(person: Person) -> list[tuple[str, Any]]:
    """What the audit log says."""
    state = connect(Home(person.folder / "home"))
    with state.read() as transaction:
        events = list(transaction.execute("select kind, detail from events order by id"))
    state.close()
    return [(kind, json.loads(detail)) for kind, detail in events]


def refused_and_overruled(person: Person, code: str, *media: str) -> None:
    """The refusal is named, and names the way out; overruled it stands beside the refs, in what
    the command says, and in the audit log."""
    found, _, err = person.run("bundle", "import", *media, "--json")
    assert (found, json.loads(err.splitlines()[-1])["code"]) == (1, code)
    assert f"--allow {code}" in json.loads(err.splitlines()[-1])["hint"]
    done = person.json("bundle", "import", *media, "--allow", code)
    assert done["overruled"] == [code]
    current = [
        item for item in person.json("bundle", "list")["items"] if item["served"] == "current"
    ]
    assert [item["overruled"] for item in current] == [[code]]
    kind, detail = overruled(person)[-1]
    assert (kind, detail["codes"], detail["version"]) == (
        *("import-overruled", [code]),
        done["version"],
    )


def test_wrong_audience_is_overruled_by_name_and_written_down(person: Person) -> None:
    person.build("1.0.0", "[elsewhere]")
    refused_and_overruled(person, "wrong-audience", "media-1.0.0")


def test_expired_is_overruled_by_name_and_written_down(person: Person) -> None:
    person.build("1.0.0", "any\nexpires: 2001-01-01T00:00:00Z")
    refused_and_overruled(person, "expired", "media-1.0.0")


def test_rollback_is_overruled_by_name_and_written_down(person: Person) -> None:
    for version in ("1.0.0", "2.0.0"):
        person.build(version)
    person.ok("bundle", "import", "media-2.0.0")
    refused_and_overruled(person, "rollback-refused", "media-1.0.0")


def test_every_refusal_is_overruled_on_its_own(person: Person) -> None:
    person.build("1.0.0", "[elsewhere]\nexpires: 2001-01-01T00:00:00Z")
    code, _, err = person.run("bundle", "import", "media-1.0.0", "--allow", "wrong-audience")
    assert code == 1
    assert "--allow expired" in err
    both = ("--allow", "wrong-audience", "--allow", "expired", "--allow", "rollback-refused")
    done = person.json("bundle", "import", "media-1.0.0", *both)
    assert done["overruled"] == ["wrong-audience", "expired"]  # only what had to be


def test_nothing_is_overruled_where_it_cannot_be_written_down(person: Person) -> None:
    person.build("1.0.0", "[elsewhere]")
    (person.folder / "home/state.db").write_bytes(b"not a database" * 100)
    code, _, _ = person.run("bundle", "import", "media-1.0.0", "--allow", "wrong-audience")
    assert code == 1
    assert person.json("bundle", "list")["items"] == []


@pytest.mark.parametrize(
    "refusal", ["unknown-signer", "too-few-signatures", "signature-invalid", "reader-too-old", "x"]
)
def test_what_cannot_be_overruled(person: Person, refusal: str) -> None:
    person.build()
    code, _, err = person.run("bundle", "import", "media-1.0.0", "--allow", refusal)
    assert code == 2
    assert "cannot be overruled" in err


def test_sealed_from_build_to_import(person: Person) -> None:
    person.ok("key", "new-recipient", "site")
    built = person.build("1.0.0", "any", "--to", "site.agepub")
    assert built["files"][0].endswith(".goose.tar.age")
    code, _, err = person.run("bundle", "import", "media-1.0.0")
    assert code == 1
    assert "--identity FILE.agekey" in err
    done = person.json("bundle", "import", "media-1.0.0", "--identity", "site.agekey")
    assert done["state"] == "complete"


def test_init_writes_a_recipe_that_builds(person: Person) -> None:
    person.ok("bundle", "init", "first.yaml", "--name", "first")
    built = person.json("bundle", "build", "first.yaml", "--key", "release", "--out", "media")
    assert built["bundle"] == "first"
    code, _, err = person.run("bundle", "init", "first.yaml")
    assert code == 2
    assert "File exists" in err


def test_source_date_epoch_dates_the_bundle(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    person.build()
    told = person.json("bundle", "inspect", "media-1.0.0")
    assert told["created"] == "1970-01-02T00:00:00Z"


@pytest.mark.parametrize("value", ["soon", "-1", "9" * 20])
def test_source_date_epoch_that_is_none(
    person: Person, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    (person.folder / "base.yaml").write_text(RECIPE.format(version="1.0.0", audience="any"))
    code, _, err = person.run("bundle", "build", "base.yaml", "--key", "release", "--out", "media")
    assert code == 2
    assert "SOURCE_DATE_EPOCH" in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("bundle", "build", "nope.yaml", "--key", "release", "--out", "m"), 1, "nope.yaml: No"),
        (("bundle", "import", "nope"), 1, "nope: No such file"),
        (("bundle", "verify", "content"), 1, "content holds no volume"),
        (("store", "ls", "nope"), 1, "nope is not in the store"),
        (("bundle", "build", "nope.yaml"), 2, "--key"),
    ],
)
def test_mistakes(person: Person, words: tuple[str, ...], code: int, said: str) -> None:
    found, out, err = person.run(*words)
    assert (found, out) == (code, "")
    assert said in err
    assert "Traceback" not in err


def test_store_ls(person: Person) -> None:
    assert person.json("store", "ls")["items"] == []
    for version in ("1.0.0", "1.1.0"):
        (person.folder / "content/motd").write_text(f"welcome to {version}\n")
        person.build(version)
        person.ok("bundle", "import", f"media-{version}")
    rows = person.json("store", "ls")["items"]
    assert [(row["version"], row["current"]) for row in rows] == [
        ("1.0.0", False),
        ("1.1.0", True),
    ]
    file, *added = person.json("store", "ls", "base@1.0.0")["items"]
    assert (file["path"], file["bytes"], file["mode"]) == ("os/motd", 17, "0644")
    assert {row["path"].split("/")[0] for row in added} == {"goose"}
    assert "os/motd" in person.ok("store", "ls", "base")


def damaged(person: Person) -> Path:
    """A volume of version 1.0.0 with a byte of os/motd changed."""
    volume = Path(person.build()["files"][0])
    data = volume.read_bytes()
    at = data.rindex(b"welcome")
    volume.write_bytes(data[:at] + b"W" + data[at + 1 :])
    return volume


@pytest.mark.parametrize("verb", ["verify", "import"])
def test_damage_is_named_and_asked_for(person: Person, verb: str) -> None:
    volume = damaged(person)
    code, out, err = person.run("bundle", verb, str(volume), "--request", "repair.json")
    assert (code, out) == (1, "")
    assert "os/motd is damaged: 8 bytes at " in err
    assert "wrote repair.json: it asks for 1 blob of base 1.0.0" in err
    request = json.loads(Path("repair.json").read_bytes())
    assert [layer["size"] for layer in request["layers"]] == [8]
    code, out, err = person.run("bundle", verb, str(volume), "--request", "repair.json", "--json")
    told = json.loads(err.splitlines()[-1])
    assert (code, out, told["code"]) == (1, "", "damaged-blob")
    assert told["details"]["path"] == "os/motd"
    assert volume.read_bytes()[told["details"]["offset"] :].startswith(b"Welcome")


def test_no_request_where_nothing_is_damaged(person: Person) -> None:
    person.build()
    for verb in ("verify", "import"):
        person.ok("bundle", verb, "media-1.0.0", "--request", "repair.json")
    assert not Path("repair.json").exists()


def test_a_request_for_volumes_that_will_not_come(person: Person) -> None:
    large = bytes(range(251)) * 4000
    for n in range(3):
        (person.folder / f"content/{n}").write_bytes(large + bytes([n]))
    built = person.build("1.0.0", "any", "--volume-size", "1200kB")
    last = [path for path in built["files"] if path.endswith(".tar")][-1]
    done = person.json("bundle", "import", last, "--request", "repair.json")
    assert done["state"] == "incomplete"
    asked = {w["digest"] for w in json.loads(Path("repair.json").read_bytes())["layers"]}
    media = person.json("bundle", "inspect", "media-1.0.0", "--files")["files"]
    assert asked < {part["digest"] for file in media for part in file["parts"]}
    person.ok("bundle", "import", "media-1.0.0", "--request", "none.json")
    assert not Path("none.json").exists()
