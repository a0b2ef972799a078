"""bundle inspect: what a bundle holds and where it is from, for people and for scripts."""

from __future__ import annotations

import hashlib

import bundles
from tests.bundles.content import noise
from tests.cli.test_bundle import Person, person

__all__ = ["person"]


def test_inspect_says_from_what_it_was_built(person: Person) -> None:
    person.build()
    said = person.json("bundle", "inspect", "media-1.0.0")["provenance"]
    recipe = hashlib.sha256((person.folder / "base.yaml").read_bytes()).hexdigest()
    assert (said["version"], said["recipe"]) == (bundles.__version__, f"sha256:{recipe}")
    (source,) = said["sources"]
    assert (source["title"], source["from"]) == ("os", "./content")
    assert source["digest"].startswith("dirHash:")
    text = person.ok("bundle", "inspect", "media-1.0.0")
    assert f"built by  goosectl {bundles.__version__} from the recipe sha256:{recipe}" in text
    assert f"    from ./content, {source['digest']}" in text


def test_inspect_says_why_provenance_is_not_shown(person: Person) -> None:
    (person.folder / "content/large").write_bytes(noise("large", 200_000))
    first, *_ = person.build("1.0.0", "any", "--volume-size", "150kB")["files"]
    said = person.json("bundle", "inspect", first)
    assert (said["provenance"], said["of"] > 1) == (None, True)
    assert "its provenance is not shown: goose/provenance.json is in volume" in person.ok(
        "bundle", "inspect", first
    )


def test_inspect_shows_folders_and_whole_files(person: Person) -> None:
    """Also of a file in parts: once, with its own size and digest."""
    data = noise("large", 200_000)
    (person.folder / "content/a/b").mkdir(parents=True)
    (person.folder / "content/a/b/large").write_bytes(data)
    person.build("1.0.0", "any", "--volume-size", "150kB")
    said = person.json("bundle", "inspect", "media-1.0.0", "--files", "--folders", "2")
    (found,) = (each for each in said["files"] if each["path"] == "os/a/b/large")
    assert (found["size"], found["mode"]) == (200_000, "0644")
    assert found["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
    sizes = [part["size"] for part in found["parts"]]
    assert len(sizes) > 1 and sum(sizes) == 200_000
    assert [each["path"] for each in said["folders"]] == ["goose", "os", "os/a"]
    assert said["folders"][2] == {"path": "os/a", "files": 1, "bytes": 200_000}
    text = person.ok("bundle", "inspect", "media-1.0.0", "--folders", "9")
    assert "        b/  1 file, 200.0 kB" in text
