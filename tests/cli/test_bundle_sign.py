"""goosectl bundle sign, and what import, verify and inspect make of it; two of three must sign."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bundles.signing import keys
from goosectl.main import main
from tests.bundles.agent import add, ssh_agent
from tests.bundles.signing import ssh_keygen
from tests.parts import part

DOCS = Path(__file__).resolve().parents[2] / "docs" / "trust.md"
RECIPE = """\
apiVersion: goose/v1
kind: Bundle
name: base
version: 1.0.0
audience: any
contents:
  - tree: ./content
    as: os
"""


class Site:
    """A builder anna, a signer ben elsewhere, and a site that asks for two of anna, ben, cleo."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        (folder / "content").mkdir()
        (folder / "content/motd").write_text("welcome\n")
        (folder / "base.yaml").write_text(RECIPE)
        for name in ("anna", "ben", "cleo"):
            keys.new_signing(folder, name)
        signers = [word for n in ("anna", "ben", "cleo") for word in ("--signer", f"{n}.pub")]
        self.ok("trust", "init", *signers, "--threshold", "2", "--yes")
        self.ok("bundle", "build", "base.yaml", "--key", "anna", "--out", "media")

    def run(self, *words: str) -> tuple[int, Any]:
        code = main([*words, "--json"])
        out, err = self._capsys.readouterr()
        return code, json.loads((out if code == 0 else err).splitlines()[-1])

    def ok(self, *words: str) -> Any:
        code, said = self.run(*words)
        assert code == 0, said
        return said

    def text(self, *words: str) -> tuple[str, str]:
        assert main([*words]) == 0
        return self._capsys.readouterr()

    def refused(self, *words: str) -> str:
        code, said = self.run(*words)
        assert code == 1
        return str(said["code"])


@pytest.fixture
def site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Site:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOOSE_HOME", str(tmp_path / "home"))
    return Site(tmp_path, capsys)


def test_signed_later_and_elsewhere(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert site.refused("bundle", "import", "media") == "too-few-signatures"
    monkeypatch.setenv("GOOSE_HOME", str(site.folder / "elsewhere"))
    signed = site.ok("bundle", "sign", "media", "--key", "ben")
    assert (len(signed["files"]), len(signed["signers"])) == (2, 2)
    assert all(Path(path).parent == Path("media") for path in signed["files"])
    monkeypatch.setenv("GOOSE_HOME", str(site.folder / "home"))
    assert site.ok("bundle", "verify", "media")["signers"] == ["anna", "ben"]
    assert site.ok("bundle", "inspect", "media")["signers"] == ["anna", "ben"]
    assert site.ok("bundle", "import", "media")["state"] == "complete"


def test_signer_is_shown_what_he_signs(site: Site) -> None:
    out, err = site.text("bundle", "sign", "media", "--key", "ben")
    assert "signed by anna (NOT ENOUGH here: " in err
    assert "os: 1 file, 8 B" in err
    assert "signed by anna, ben (trusted here)" in out
    out, _ = site.text("bundle", "sign", "media", "--key", "ben")
    assert "these keys have signed it already" in out


def test_dry_run_signs_nothing(site: Site) -> None:
    before = sorted(Path("media").iterdir())
    said = site.ok("bundle", "sign", "media", "--key", "ben", "--dry-run")
    assert (said["files"], said["trusted"]) == ([], False)
    assert sorted(Path("media").iterdir()) == before


def test_signatures_into_another_folder(site: Site) -> None:
    signed = site.ok("bundle", "sign", "media", "--key", "ben", "--out", "signatures")
    assert [Path(path).parent for path in signed["files"]] == [Path("signatures")] * 2
    assert site.refused("bundle", "import", "media") == "too-few-signatures"
    assert site.ok("bundle", "import", "media", "signatures")["state"] == "complete"


def test_damaged_volume_is_not_signed(site: Site) -> None:
    [volume] = Path("media").glob("*.tar")
    volume.write_bytes(volume.read_bytes().replace(b"welcome\n", b"Welcome\n"))
    before = sorted(Path("media").iterdir())
    assert site.refused("bundle", "sign", "media", "--key", "ben") == "damaged-blob"
    assert sorted(Path("media").iterdir()) == before


def test_list_that_was_changed_is_not_signed(site: Site) -> None:
    listing = Path("media/base-1.0.0.volumes.json")
    listing.write_bytes(listing.read_bytes().replace(b'"version":"1.0.0"', b'"version":"1.0.1"'))
    assert site.refused("bundle", "sign", "media", "--key", "ben") == "list-mismatch"


def test_sealed_bundle_is_signed_by_who_can_open_it(site: Site) -> None:
    site.ok("key", "new-recipient", "ben-reads")
    build = ("bundle", "build", "base.yaml", "--key", "anna", "--out", "sealed")
    site.ok(*build, "--to", "ben-reads.agepub")
    assert site.refused("bundle", "sign", "sealed", "--key", "ben") == "identity-needed"
    opens = ("--identity", "ben-reads.agekey")
    assert len(site.ok("bundle", "sign", "sealed", "--key", "ben", *opens)["files"]) == 2
    assert site.ok("bundle", "import", "sealed", *opens)["signers"] == ["anna", "ben"]


def test_sealed_bundle_is_signed_by_its_open_volumes(site: Site) -> None:
    site.ok("key", "new-recipient", "site")
    build = ("bundle", "build", "base.yaml", "--key", "anna", "--out", "sealed")
    site.ok(*build, "--to", "site.agepub")
    site.ok("bundle", "sign", "media", "--key", "ben", "--out", "signatures")
    taken = site.ok("bundle", "import", "sealed", "signatures", "--identity", "site.agekey")
    assert taken["signers"] == ["anna", "ben"]


def test_signed_through_an_agent(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with ssh_agent(site.folder) as agent:
        monkeypatch.setenv("SSH_AUTH_SOCK", agent["SSH_AUTH_SOCK"])
        add(agent, site.folder / "ben")
        Path("ben").unlink()
        site.ok("bundle", "sign", "media", "--key", "ben.pub")
    assert site.ok("bundle", "import", "media")["signers"] == ["anna", "ben"]
    assert site.refused("bundle", "sign", "media", "--key", "ben.pub") == "signing-failed"


def test_inspect_says_what_is_missing(site: Site) -> None:
    said = site.ok("bundle", "inspect", "media")
    assert (said["signers"], said["trusted"]) == (["anna"], False)
    out, _ = site.text("bundle", "inspect", "media")
    assert "signed by anna (NOT ENOUGH here: signed by anna; the trust root asks for 2 of 3" in out


def test_inspect_refuses_a_bad_signature_of_a_known_signer(site: Site) -> None:
    site.ok("bundle", "sign", "media", "--key", "ben")
    [file] = Path("media").glob("*.statement.json.*")
    file.write_bytes(next(Path("media").glob("*.volumes.json.sig")).read_bytes())
    assert site.refused("bundle", "inspect", "media") == "wrong-namespace"


def test_inspect_passes_over_what_says_nothing_here(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's bad signature, and one of an algorithm that no trust root can name."""
    keys.new_signing(site.folder, "stranger")
    for name, kind in (("stranger", "ed25519"), ("curve", "ecdsa")):
        if kind == "ecdsa":
            ssh_keygen("-q", "-t", kind, "-N", "", "-f", site.folder / name)
        Path("other").write_bytes(b"another statement")
        ssh_keygen("-Y", "sign", "-f", site.folder / name, "-n", "goose-bundle@v1", "other")
        Path("other.sig").rename(f"media/base-1.0.0.statement.json.{name}.sig")
    assert site.ok("bundle", "inspect", "media")["signers"] == ["anna"]
    monkeypatch.setenv("GOOSE_HOME", str(site.folder / "elsewhere"))
    assert site.refused("bundle", "inspect", "media") == "signature-invalid"
    Path("media/base-1.0.0.statement.json.stranger.sig").unlink()
    assert len(site.ok("bundle", "inspect", "media")["signers"]) == 1


def test_rotation_revokes_a_builder_and_another_signature_mends_his_bundle(site: Site) -> None:
    """The whole way, as people go it."""
    both = ("--key", "ben", "--key", "cleo")
    site.ok("trust", "rotate", "--remove", "anna", *both)
    site.ok("trust", "import", "root-2.trust")
    site.ok("bundle", "sign", "media", "--key", "ben")
    assert site.refused("bundle", "import", "media") == "too-few-signatures"
    site.ok("bundle", "sign", "media", "--key", "cleo")
    assert site.ok("bundle", "import", "media")["signers"] == ["ben", "cleo"]


def test_the_commands_of_the_docs_with_stock_tools(site: Site) -> None:
    """Exactly the commands of docs/trust.md, "A signature later": without goosectl."""
    part("ssh-keygen")
    text = DOCS.read_text()
    section = text[text.index("## A signature later") :]
    found = re.search(r"With stock tools.*\n\n((?:    .*\n|\n)+)", section)
    assert found is not None
    script = "set -eux\n" + re.sub("^    ", "", found[1], flags=re.MULTILINE)
    site.ok("trust", "export", "--out", "allowed_signers")
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert 'Good "goose-bundle@v1" signature for anna' in done.stdout
    assert site.ok("bundle", "import", "media")["signers"] == ["anna", "ben"]
    assert site.ok("bundle", "sign", "media", "--key", "ben")["files"] == []
