"""goosectl from damage to a whole site, as an operator and a release engineer type it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_bundle import Person, damaged, person

__all__ = ["person"]

REPAIR = ("bundle", "repair", "repair.json", "media-1.0.0", "--key", "release", "--out", "repair")


def motd(person: Person) -> Path:
    """The blob of os/motd."""
    [file] = [f for f in person.json("store", "ls", "base")["items"] if f["path"] == "os/motd"]
    return person.folder / "home/store/blobs/sha256" / file["digest"][7:]


def test_from_a_bad_disk_to_a_whole_store(person: Person) -> None:
    (person.folder / "content/large").write_bytes(bytes(range(256)) * 4000)
    person.build()
    person.ok("bundle", "import", "media-1.0.0")
    motd(person).write_bytes(b"Welcome\n")
    code, out, err = person.run("store", "fsck", "--request", "repair.json")
    assert code == 1
    assert "os/motd" in out + err
    told = person.json(*REPAIR)
    assert (told["bundle"], told["version"], told["documents"]) == ("base", "1.0.0", False)
    assert told["layers"] == ["os/motd"]
    assert told["bytes"] < 20_000
    assert sorted(told["files"]) == sorted(map(str, Path("repair").iterdir()))
    (sheet,) = Path("repair").glob("base-1.0.0.repair-*.sheet.txt")
    assert "Repair    brings what the site asked for" in sheet.read_text()
    assert "os/motd: 1 file, 8 B" in sheet.read_text()
    assert person.json("bundle", "import", "repair")["state"] == "complete"
    person.ok("store", "fsck")
    assert motd(person).read_bytes() == b"welcome\n"


def test_from_damaged_media_to_a_served_bundle(person: Person) -> None:
    (person.folder / "content/large").write_bytes(bytes(range(256)) * 4000)
    volume = damaged(person)
    assert person.run("bundle", "import", str(volume), "--request", "repair.json")[0] == 1
    person.folder.joinpath("media-1.0.0").rename(person.folder / "bad")
    person.build()  # the builder's own copy is good
    said = person.ok(*REPAIR)
    assert "base 1.0.0, for a site without an id:" in said
    assert "  os/motd" in said
    assert "complete: served at" in person.ok("bundle", "import", "repair")
    person.ok("store", "fsck")


def test_what_a_repair_lacks_is_asked_for(person: Person) -> None:
    person.build()
    person.ok("bundle", "import", "media-1.0.0")
    motd(person).unlink()
    person.run("store", "fsck", "--request", "repair.json")
    request = json.loads(Path("repair.json").read_bytes())
    Path("repair.json").write_text(
        json.dumps({**request, "layers": []}, separators=(",", ":"), sort_keys=True)
    )
    person.ok(*REPAIR)
    code, _, err = person.run("bundle", "import", "repair", "--request", "more.json")
    assert code == 1
    assert "os/motd" in err
    assert "import it again with --request FILE" in err
    assert json.loads(Path("more.json").read_bytes())["layers"] == request["layers"]


def test_mistakes(person: Person) -> None:
    person.build()
    code, _, err = person.run(*REPAIR)
    assert code == 1
    assert "repair.json: No such file" in err
    Path("repair.json").write_text("{}")
    code, _, err = person.run(*REPAIR)
    assert code == 1
    assert "repair.json has fields missing or unknown" in err
    assert not Path("repair").exists()


def test_a_stranger_to_the_trust_root_is_not_signed_again(person: Person) -> None:
    person.build()
    person.ok("bundle", "import", "media-1.0.0")
    motd(person).unlink()
    person.run("store", "fsck", "--request", "repair.json")
    person.ok("key", "new", "other")
    (person.folder / "home/trust/root.json").unlink()
    code, _, err = person.run(*(word if word != "release" else "other" for word in REPAIR))
    assert code == 1
    assert "is not a signer" in err
    person.ok(*REPAIR)
