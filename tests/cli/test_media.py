"""bundle import and verify over media as couriers bring them: several drives, several bundles,
some of the volumes, and volumes that nobody here can open."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.bundles.content import noise
from tests.cli.test_bundle import Person, person

__all__ = ["person"]


def build(person: Person, version: str, *options: str) -> list[Path]:
    """A version in three volumes; their paths."""
    for number in range(5):
        (person.folder / f"content/{number}").write_bytes(noise(f"{version}{number}", 400_000))
    built = person.build(version, "any", "--volume-size", "900kB", *options)
    return [Path(file) for file in built["files"] if ".goose.tar" in file]


def merge(person: Person, *versions: str) -> Path:
    """One folder with the media of several versions."""
    media = person.folder / "media"
    for version in versions:
        shutil.copytree(person.folder / f"media-{version}", media, dirs_exist_ok=True)
    return media


def test_several_bundles_are_imported_one_after_another(person: Person) -> None:
    for version in ("1.10.0", "1.9.0"):
        build(person, version)
    media = str(merge(person, "1.10.0", "1.9.0"))
    lines = [
        json.loads(line) for line in person.ok("bundle", "import", media, "--json").split("\n")[:-1]
    ]
    assert [(line["version"], line["state"]) for line in lines] == [
        ("1.9.0", "complete"),
        ("1.10.0", "complete"),
    ]
    said = person.ok("bundle", "import", media)  # again: nothing to do, and no rollback
    assert "base 1.9.0: it is here already, and a later version too" in said
    served = {each["version"]: each["served"] for each in person.json("bundle", "list")["items"]}
    assert served == {"1.9.0": "by version", "1.10.0": "current"}


@pytest.mark.parametrize("verb", ["import", "verify"])
def test_one_failed_bundle_does_not_keep_the_others(person: Person, verb: str) -> None:
    first, *_ = build(person, "1.0.0")
    build(person, "1.1.0")
    media = merge(person, "1.0.0", "1.1.0")
    os.truncate(media / first.name, 100)
    code, out, err = person.run("bundle", verb, str(media), "--json")
    failed, good = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert (failed["bundle"], failed["version"], failed["state"]) == ("base", "1.0.0", "failed")
    assert "base-1.0.0.1of3.goose.tar" in failed["error"]
    assert (good["version"], good["missing"]) == ("1.1.0", [])
    last = json.loads(err.splitlines()[-1])
    assert (last["code"], last["details"]) == ("bundles-failed", {"failed": ["base 1.0.0"]})
    code, out, err = person.run("bundle", verb, str(media))
    assert code == 1
    assert "error: base 1.0.0: base-1.0.0.1of3.goose.tar" in err
    assert "error: 1 of 2 bundles failed: base 1.0.0" in err
    assert "base 1.1.0" in out


def test_some_volumes_of_each_from_two_drives(person: Person) -> None:
    drives = [person.folder / "a", person.folder / "b"]
    for version in ("1.0.0", "1.1.0"):
        for number, path in enumerate(build(person, version)):
            drive = drives[number % 2]
            drive.mkdir(exist_ok=True)
            shutil.copy(path, drive)
    lines = person.ok("bundle", "import", "a", "--json").splitlines()
    assert [json.loads(line)["missing_files"] for line in lines] == [
        ["base-1.0.0.2of3.goose.tar"],
        ["base-1.1.0.2of3.goose.tar"],
    ]
    lines = person.ok("bundle", "import", "b", "--json").splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["complete", "complete"]


def test_missing_volumes_are_named_before_and_after(person: Person) -> None:
    _, second, _ = build(person, "1.0.0")
    second.unlink()
    code, out, err = person.run("bundle", "import", "media-1.0.0")
    assert code == 0
    assert err.splitlines()[0] == "base 1.0.0: not given: base-1.0.0.2of3.goose.tar"
    assert "still to come are volumes 2:\n  base-1.0.0.2of3.goose.tar" in out
    told = person.json("bundle", "verify", "media-1.0.0")
    assert (told["missing"], told["missing_files"]) == ([2], ["base-1.0.0.2of3.goose.tar"])


def test_damaged_volume_is_refused_before_it_is_read_unless_its_rest_is_asked_for(
    person: Person,
) -> None:
    _, second, _ = build(person, "1.0.0")
    os.truncate(second, second.stat().st_size - 5000)
    code, _, err = person.run("bundle", "import", "media-1.0.0", "--json")
    assert (code, json.loads(err.splitlines()[-1])["code"]) == (1, "damaged-volume")
    assert not (person.folder / "home/store/staging").exists()
    code, _, err = person.run(
        "bundle", "import", "media-1.0.0", "--request", "lacks.json", "--json"
    )
    assert (code, json.loads(err.splitlines()[-1])["code"]) == (1, "truncated-volume")
    assert len(json.loads((person.folder / "lacks.json").read_text())["layers"]) >= 1


def test_a_request_is_about_one_bundle(person: Person) -> None:
    build(person, "1.0.0")
    build(person, "1.1.0")
    media = merge(person, "1.0.0", "1.1.0")
    code, _, err = person.run("bundle", "verify", str(media), "--request", "lacks.json")
    assert code == 2
    assert "here are base 1.0.0, base 1.1.0" in err


def test_a_transfer_station_checks_what_it_cannot_open(person: Person) -> None:
    person.ok("key", "new-recipient", "site")
    first, second, _ = build(person, "1.0.0", "--to", "site.agepub")
    said = person.ok("bundle", "verify", "media-1.0.0")
    assert said.splitlines() == [
        "base 1.0.0: sealed, 3 volumes",
        "volume list signed by release: good",
        "3 of 3 volumes are the files that it names, by SHA-256",
        "NOT checked: what is inside, and who signed that; whoever opens it checks it",
    ]
    told = person.json("bundle", "verify", "media-1.0.0")
    assert (told["checked"], told["volumes"], told["sequence"]) == ("ciphertext", [1, 2, 3], None)
    told = person.json("bundle", "verify", "media-1.0.0", "--identity", "site.agekey")
    assert (told["checked"], told["signers"], told["list_signers"]) == (
        "content",
        ["release"],
        ["release"],
    )
    second.write_bytes(second.read_bytes()[:-1] + b"!")
    first.unlink()
    code, _, err = person.run("bundle", "verify", "media-1.0.0", "--json")
    assert (code, json.loads(err)["code"]) == (1, "damaged-volume")


def test_a_list_that_is_not_there_is_a_remark(person: Person) -> None:
    build(person, "1.0.0")
    for path in (person.folder / "media-1.0.0").glob("*.volumes.json*"):
        path.unlink()
    assert person.json("bundle", "verify", "media-1.0.0")["remarks"] == ["no-volume-list"]
    assert "no volume list is here" in person.ok("bundle", "verify", "media-1.0.0")
    assert person.json("bundle", "import", "media-1.0.0")["state"] == "complete"


@pytest.mark.parametrize("verb", ["import", "verify"])
def test_a_list_by_a_stranger_stops_it(person: Person, verb: str) -> None:
    from bundles.signing import sshsig
    from tests.bundles.signing import signer

    build(person, "1.0.0")
    path = person.folder / "media-1.0.0/base-1.0.0.volumes.json"
    signature = sshsig.sign(path.read_bytes(), signer(9), sshsig.VOLUMES)
    path.with_name(f"{path.name}.sig").write_bytes(signature)
    code, _, err = person.run("bundle", verb, "media-1.0.0")
    assert code == 1
    assert "error: base-1.0.0.volumes.json: SHA256:" in err
    assert "without the list, volumes are checked by what they hold" in err


@pytest.mark.parametrize("verb", ["import", "verify"])
def test_a_list_alone_names_what_is_not_here(person: Person, verb: str) -> None:
    for path in build(person, "1.0.0"):
        path.unlink()
    code, _, err = person.run("bundle", verb, "media-1.0.0")
    assert code == 1
    assert "none of the volumes of base 1.0.0 is here: base-1.0.0.1of3.goose.tar, " in err
