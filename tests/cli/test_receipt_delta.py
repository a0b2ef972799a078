"""From a site's receipt to a delta that it imports; receipts that a builder does not believe."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from bundles.signing import keys, sshsig
from tests.cli.test_bundle import Person, person

__all__ = ["person"]

SITE = """\
apiVersion: goose/v1
kind: Site
name: site-a
url: https://goose.site-a.example.org
"""
LARGE = random.Random(7).randbytes(3_000_000)
PIN = ("--receipt-signer", "site-a=site-a.pub")


@pytest.fixture
def site(person: Person) -> Person:
    """`site-a`, which has `base` 1.0.0, and its receipt."""
    (person.folder / "home/infra").mkdir()
    (person.folder / "home/infra/site.yaml").write_text(SITE)
    (person.folder / "content/large").write_bytes(LARGE)
    person.build()
    person.ok("bundle", "import", "media-1.0.0")
    person.ok("key", "new", "site-a")
    person.ok("store", "receipt", "--key", "site-a", "--out", "site-a.json")
    (person.folder / "content/large").write_bytes(b"?" + LARGE)
    return person


def test_from_a_receipt_to_a_delta(site: Person) -> None:
    built = site.build("2.0.0", "[site-a]", "--since", "site-a.json", *PIN)
    assert built["bytes"] < 300_000, "one byte more in front of three megabytes"
    assert site.json("bundle", "import", "media-2.0.0")["state"] == "complete"
    site.ok("store", "fsck")
    items = site.json("store", "ls", "base")["items"]
    assert {item["path"]: item["bytes"] for item in items}["os/large"] == len(LARGE) + 1


def test_a_delta_is_the_same_each_time(site: Person) -> None:
    first = Path(site.build("2.0.0", "any", "--since", "site-a.json", *PIN)["files"][0])
    data = first.read_bytes()
    for old in first.parent.iterdir():
        old.unlink()
    site.build("2.0.0", "any", "--since", "site-a.json", *PIN)
    assert first.read_bytes() == data


def refused(site: Person, code: str, *options: str, audience: str = "any") -> str:
    """Builds with options that are refused; what is said."""
    (site.folder / "base.yaml").write_text(
        (site.folder / "base.yaml").read_text().replace("audience: any", f"audience: {audience}")
    )
    words = ("bundle", "build", "base.yaml", "--key", "release", "--out", "new", "--json")
    _, out, err = site.run(*words, *options)
    assert out == ""
    assert not Path("new").exists()
    told = json.loads(err.splitlines()[-1])
    assert told["code"] == code
    return f"{told['error']}\n{told.get('hint')}"


def test_a_receipt_without_a_pinned_key_is_refused_with_its_fingerprint(site: Person) -> None:
    fingerprint = site.json("key", "show", "site-a.pub")["fingerprint"]
    said = refused(site, "unknown-receipt-signer", "--since", "site-a.json")
    assert fingerprint in said
    assert "--receipt-signer [SITE=]FILE.pub" in said
    said = refused(
        site, "unknown-receipt-signer", "--since", "site-a.json", "--receipt-signer", "release.pub"
    )
    assert fingerprint in said


def test_a_forged_receipt(site: Person) -> None:
    data = Path("site-a.json").read_bytes()
    Path("site-a.json").write_bytes(data.replace(b'"site":"site-a"', b'"site":"site-b"'))
    refused(site, "signature-invalid", "--since", "site-a.json", *PIN)


def test_a_key_that_is_pinned_to_another_site(site: Person) -> None:
    pin = ("--receipt-signer", "site-b=site-a.pub")
    said = refused(site, "receipt-of-another-site", "--since", "site-a.json", *pin)
    assert "site site-a" in said


def test_a_receipt_of_a_site_outside_the_audience(site: Person) -> None:
    said = refused(
        site, "wrong-audience", "--since", "site-a.json", *PIN, audience="[site-b, site-c]"
    )
    assert "is of site site-a; the recipe is for site-b, site-c" in said


def test_a_receipt_whose_signature_was_left_behind(site: Person) -> None:
    Path("site-a.json.sig").unlink()
    said = refused(site, "unreadable-receipt", "--since", "site-a.json", *PIN)
    assert "site-a.json.sig: No such file" in said


def test_a_receipt_stands_alone(site: Person) -> None:
    both = ("--since", "site-a.json", "--since", "media-1.0.0")
    assert "it stands alone" in refused(site, "usage", *both, *PIN)


def test_a_receipt_that_claims_what_the_site_lacks(site: Person) -> None:
    """The site loses a file after the receipt: its import names what is missing, and asks."""
    site.build("2.0.0", "any", "--since", "site-a.json", *PIN)
    [motd] = [f for f in site.json("store", "ls", "base")["items"] if f["path"] == "os/motd"]
    blob = site.folder / "home/store/blobs/sha256" / motd["digest"][7:]
    blob.unlink()
    code, _, err = site.run("bundle", "import", "media-2.0.0", "--request", "repair.json")
    assert code == 1
    assert "os/motd" in err
    assert "import base 1.0.0 first" in err
    assert [row["version"] for row in site.json("bundle", "list")["items"]] == ["1.0.0"]
    site.ok("bundle", "import", "media-1.0.0")
    assert site.json("bundle", "import", "media-2.0.0")["state"] == "complete"


def test_a_receipt_is_signed_for_receipts(site: Person) -> None:
    data = Path("site-a.json").read_bytes()
    signer = keys.load_private(Path("site-a"))
    Path("site-a.json.sig").write_bytes(sshsig.sign(data, signer, sshsig.VOLUMES))
    refused(site, "wrong-namespace", "--since", "site-a.json", *PIN)
