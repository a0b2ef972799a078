"""goosectl receipt, as an operator and an auditor type it."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bundles.signing import sshsig
from bundles.site.catalog import Catalog
from bundles.store import open_store
from goosectl import receipt_words
from goosed_daemon import boot, infra, install_key, machines, made_of, receipts, token_key
from goosed_daemon.agents import Agents
from goosed_daemon.home import Home
from goosed_daemon.state import open_state
from goosed_daemon.tokens import Tokens
from goosed_daemon.workflow.orchestrator import Orchestrator
from tests.bundles.signing import signer, ssh_keygen
from tests.bundles.test_install_receipt import RECEIPT
from tests.cli.test_bundle import Person, person
from tests.daemon.state_backends import MAC, NOW, OTHER, TTL

__all__ = ["person"]

PROFILES = f"""\
apiVersion: goose/v1
kind: Site
name: site-a
---
apiVersion: goose/v1
kind: OSProfile
name: rhel9-base
installer: kickstart
release: rhel9
bundle: base
kernel: os/vmlinuz
initrd: os/initrd.img
repo: os
disk:
  device: sda
---
apiVersion: goose/v1
kind: Machine
name: web1
mac: {MAC}
profile: rhel9-base
"""


class Site:
    """A site that has `base` 1.0.0, and installs its one machine."""

    def __init__(self, who: Person) -> None:
        self.person = who
        self.home = Home(who.folder / "home")
        for name in ("vmlinuz", "initrd.img"):
            (who.folder / "content" / name).write_text(name)
        who.build()
        who.ok("bundle", "import", "media-1.0.0")
        self.home.infra.mkdir()
        (self.home.infra / "site.yaml").write_text(PROFILES)

    def install(self, minutes: int = 0, *, ready: bool = True) -> str:
        """Installs web1; gives the id of its boot token."""
        now, address = NOW + timedelta(minutes=minutes), "192.0.2.7"
        key = token_key.load(self.home.token_key)
        with closing(open_state(self.home, None, now)) as state:
            tokens, agents = Tokens(state, key, TTL), Agents(state, key, timedelta(days=1))
            machines.arm(state, MAC, 1, now, "operator:me")
            offer = tokens.offer(MAC, now, address)
            profiles, catalog = infra.load(self.home.infra), Catalog(open_store(self.home.store))
            machine = profiles.machine("web1")
            assert machine is not None
            made = made_of.look(
                boot.context(profiles, catalog, machine, "https://goose.example.org"), catalog
            )
            tokens.claim(offer.secret, now, address, "a" * 64, now + TTL, made)
            signed_by = install_key.load(self.home.install_key)
            if ready:
                lease = agents.register(agents.enrolment(offer.token.id), None, now, address)
                assert lease.token is not None
                agents.heartbeat(MAC, lease.token, now, address, "1")
                Orchestrator(state, (receipts.ready,)).turn(now)
                assert receipts.turn(state, tokens.made, signed_by, now) == 1
        return offer.token.id

    def export(self, *more: str) -> tuple[str, ...]:
        """Writes the receipt and the key; gives how they are verified."""
        self.person.ok("receipt", "export", "web1", "--out", "web1.json", *more)
        Path("site-a.pub").write_text(self.person.ok("receipt", "key"))
        return ("receipt", "verify", "web1.json", "--key", "site-a.pub")

    def refusal(self, *words: str) -> dict[str, Any]:
        code, out, err = self.person.run(*words, "--json")
        assert (code, out) == (1, "")
        value: dict[str, Any] = json.loads(err)
        assert value["hint"]
        return value


@pytest.fixture
def site(person: Person) -> Site:
    return Site(person)


def test_what_a_machine_was_built_from_is_shown(site: Site) -> None:
    token = site.install()
    out = site.person.ok("receipt", "show", "web1")
    assert f"web1  {MAC}  at site site-a" in out
    assert "base 1.0.0, imported" in out and f"{token}, event" in out
    assert "os/initrd.img" in out and "os/vmlinuz" in out
    value = site.person.json("receipt", "show", MAC)
    assert value["bundle"]["version"] == "1.0.0" and value["token"]["id"] == token
    assert value["signed_at"] == "2026-11-24T12:00:00Z"


def test_a_genuine_receipt_is_verified_against_key_store_and_media(site: Site) -> None:
    token = site.install()
    verify = site.export()
    told = site.person.json(
        *verify, "--mac", "52-54-00-12-34-56", "--token", token, "--current", "--store",
        "--bundle", "media-1.0.0",
    )  # fmt: skip
    assert told["compared_with"] == ["base 1.0.0 in the store", "base 1.0.0 in media-1.0.0"]
    assert told["signer"].startswith("SHA256:")
    said = site.person.ok(*verify, "--store")
    assert "the same as base 1.0.0 in the store" in said


def test_ssh_keygen_verifies_an_exported_receipt(site: Site) -> None:
    site.install()
    site.export()
    key = Path("site-a.pub").read_text().strip()
    Path("allowed").write_text(f'site-a namespaces="goose-machine@v1" {key}\n')
    words = ("-Y", "verify", "-f", "allowed", "-I", "site-a", "-n", "goose-machine@v1")
    said = ssh_keygen(*words, "-s", "web1.json.sig", stdin=Path("web1.json").read_bytes())
    assert "Good" in said


def test_a_receipt_altered_on_its_way(site: Site) -> None:
    site.install()
    verify = site.export()
    data = Path("web1.json").read_bytes()
    Path("web1.json").write_bytes(data.replace(b"web1", b"web2"))
    assert site.refusal(*verify)["code"] == "signature-invalid"
    Path("web1.json.sig").write_text("nonsense")
    assert site.refusal(*verify)["code"] == "signature-malformed"
    Path("web1.json.sig").unlink()
    assert site.refusal(*verify)["code"] == "unreadable-receipt"


def test_a_receipt_signed_for_something_else_by_another_or_of_no_form(site: Site) -> None:
    site.install()
    verify = site.export()
    key, data = install_key.load(site.home.install_key), Path("web1.json").read_bytes()
    for message, by, namespace, code in (
        (data, key, sshsig.INSTALL, "wrong-namespace"),
        (data, signer(9), sshsig.MACHINE, "unknown-install-key"),
        (b"{}", key, sshsig.MACHINE, "bad-install-receipt"),
        (data + b" ", key, sshsig.MACHINE, "not-canonical"),
    ):
        Path("web1.json").write_bytes(message)
        Path("web1.json.sig").write_bytes(sshsig.sign(message, by, namespace))
        assert site.refusal(*verify)["code"] == code


def test_a_receipt_shown_for_another_machine(site: Site) -> None:
    site.install()
    verify = site.export()
    assert site.refusal(*verify, "--mac", OTHER)["code"] == "receipt-of-another-machine"


def test_a_receipt_replayed_after_a_later_installation(site: Site) -> None:
    first = site.install()
    verify = site.export()
    assert site.person.ok(*verify, "--current")
    code = "receipt-of-another-installation"
    second = site.install(60, ready=False)
    assert site.refusal(*verify, "--current")["code"] == code, "it is being installed again"
    assert site.refusal("receipt", "show", "web1")["code"] == "receipt-not-signed"
    third = site.install(120)
    assert site.refusal(*verify, "--current")["code"] == code
    assert site.refusal(*verify, "--token", third)["code"] == code
    assert site.person.ok(*site.export(), "--current", "--token", third)
    assert site.person.ok(*site.export("--token", first), "--token", first)
    assert site.refusal("receipt", "show", "web1", "--token", second)["code"] == (
        "receipt-not-signed"
    )


def test_a_bundle_of_the_same_version_with_other_content(site: Site) -> None:
    site.install()
    verify = site.export()
    (site.person.folder / "content/vmlinuz").write_text("another")
    shutil.rmtree("media-1.0.0")
    site.person.build()
    refusal = site.refusal(*verify, "--bundle", "media-1.0.0")
    assert refusal["code"] == "other-content" and "has the statement" in refusal["error"]


def test_profiles_that_the_machine_was_not_built_by(site: Site) -> None:
    site.install()
    verify = (*site.export(), "--profiles")
    assert "the same as the profiles of home/infra" in site.person.ok(*verify, "home/infra")
    for words in (("init", "-q"), ("add", "site.yaml"), ("commit", "-q", "-m", "first")):
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
        subprocess.run(git, cwd=site.home.infra, check=True)
    text = PROFILES.replace("profile: rhel9-base", "profile: rhel9-base\npackages: [vim]")
    (site.home.infra / "site.yaml").write_text(text)
    assert site.refusal(*verify, "home/infra")["code"] == "other-profile"
    assert "the same as the profiles of HEAD" in site.person.ok(*verify, "HEAD")
    (site.home.infra / "site.yaml").write_text(PROFILES.replace(MAC, OTHER))
    assert site.refusal(*verify, "home/infra")["code"] == "machine-unknown"


def test_a_store_without_the_version_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install()
    verify = site.export()
    monkeypatch.setenv("GOOSE_HOME", str(site.person.folder / "elsewhere"))
    assert site.person.ok(*verify), "an auditor needs no site"
    assert site.refusal(*verify, "--store")["code"] == "not-imported"
    code, _, err = site.person.run(*verify, "--base", "media-1.0.0")
    assert code == 2 and "--bundle" in err


def test_a_version_that_came_after_the_token_is_remarked_on() -> None:
    assert not any("may have booted" in line for line in receipt_words.lines(RECEIPT))
    origin = replace(RECEIPT.origin, imported="2026-11-24T12:00:30Z")
    (*_, last) = receipt_words.lines(replace(RECEIPT, origin=origin))
    assert "came after the boot token was issued" in last


def test_a_site_that_was_restored_has_its_receipts_and_the_same_key(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = site.install()
    verify = site.export()
    waiting = site.install(60, ready=False)
    site.person.ok("key", "new-recipient", "vault")
    site.person.ok("site", "backup", "site.age", "--to", "vault.agepub")
    monkeypatch.setenv("GOOSE_HOME", str(site.person.folder / "again"))
    site.person.ok("site", "restore", "site.age", "--identity", "vault.agekey")
    assert site.person.ok("receipt", "key") == Path("site-a.pub").read_text()
    site.person.ok("receipt", "export", "web1", "--out", "again.json", "--token", token)
    assert Path("again.json").read_bytes() == Path("web1.json").read_bytes()
    assert site.person.ok(*verify, "--token", token)
    refusal = site.refusal("receipt", "show", "web1")
    assert (refusal["code"], refusal["details"]["token"]) == ("receipt-not-signed", waiting)


def test_nothing_to_show_is_said(site: Site) -> None:
    assert site.refusal("receipt", "show", "web1")["code"] == "no-receipt"
    assert site.refusal("receipt", "key")["code"] == "no-install-key"
    assert not site.home.install_key.exists(), "to look makes no key"
