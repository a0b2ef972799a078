"""goosectl store receipt, as the operator of a site meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundles.site import receipt
from tests.cli.test_bundle import Person, person

__all__ = ["person"]

SITE = """\
apiVersion: goose/v1
kind: Site
name: site-a
url: https://goose.site-a.example.org
"""


@pytest.fixture
def site(person: Person, monkeypatch: pytest.MonkeyPatch) -> Person:
    """A site that has imported `base` 1.0.0, and has a receipt key."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    (person.folder / "content/large").write_bytes(bytes(range(256)) * 2000)
    person.build()
    person.ok("bundle", "import", "media-1.0.0")
    person.ok("key", "new", "site-a")
    return person


TAKE = ("store", "receipt", "--key", "site-a", "--out", "site-a.json")


def test_a_receipt_and_its_signature(site: Person) -> None:
    said = site.ok(*TAKE)
    assert "  base 1.0.0" in said
    assert "wrote site-a.json" in said
    told = site.json(*TAKE)
    assert told["files"] == ["site-a.json", "site-a.json.sig"]
    assert told["bundles"] == [{"bundle": "base", "version": "1.0.0", "sequence": 10**12}]
    assert (told["left_out"], told["created"]) == ([], "1970-01-02T00:00:00Z")
    assert told["bytes"] == Path("site-a.json").stat().st_size
    found = receipt.read(Path("site-a.json").read_bytes(), "it")
    assert [layer.size for layer in found.layers] == [512_000]


def test_what_is_left_out_is_named(site: Person) -> None:
    (site.folder / "content/motd").write_text("another\n")
    site.build("1.1.0")
    site.ok("bundle", "import", "media-1.1.0")
    [motd] = [f for f in site.json("store", "ls", "base")["items"] if f["path"] == "os/motd"]
    (site.folder / "home/store/blobs/sha256" / motd["digest"][7:]).unlink()
    code, out, err = site.run(*TAKE)
    assert code == 0
    assert "base 1.0.0" in out
    assert f"base 1.1.0 is left out: os/motd: {motd['digest']} is missing" in err
    [left] = site.json(*TAKE)["left_out"]
    assert (left["bundle"], left["version"]) == ("base", "1.1.0")


def test_one_bundle_alone(site: Person) -> None:
    assert site.json(*TAKE, "--bundle", "base")["bundles"]
    code, _, err = site.run(*TAKE, "--bundle", "other")
    assert code == 1
    assert "other is not in the store" in err


def test_an_empty_store_has_no_receipt(person: Person) -> None:
    person.ok("key", "new", "site-a")
    code, _, err = person.run(*TAKE)
    assert code == 1
    assert "the store has no bundle" in err
    assert not Path("site-a.json").exists()


def test_the_key_is_not_written_over(site: Person) -> None:
    before = Path("site-a").read_bytes()
    code, _, err = site.run("store", "receipt", "--key", "site-a", "--out", "site-a")
    assert code == 2
    assert "would take the place of the key" in err
    assert Path("site-a").read_bytes() == before


def test_the_receipt_bears_the_id_of_the_site(site: Person) -> None:
    infra = site.folder / "home/infra"
    infra.mkdir()
    (infra / "site.yaml").write_text(SITE)
    assert site.json(*TAKE)["site"] == "site-a"
    assert json.loads(Path("site-a.json").read_bytes())["site"] == "site-a"
