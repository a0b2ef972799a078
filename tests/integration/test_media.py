"""The media as a courier checks them: with tar and ssh-keygen, and nothing of ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.integration.site import Site
from tests.parts import part


def ssh_keygen_accepts(allowed: Path, namespace: str, document: bytes, signature: Path) -> bool:
    """Whether `ssh-keygen -Y verify` says that a signer of `allowed` signed `document`."""
    command = ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", "release"]
    command += ["-n", namespace, "-s", str(signature)]
    done = subprocess.run(command, input=document, capture_output=True, timeout=20)
    assert done.returncode in (0, 255), done.stderr
    return done.returncode == 0


def test_courier_verifies_the_volume_with_tar_and_ssh_keygen(site: Site, tmp_path: Path) -> None:
    part("tar")
    part("ssh-keygen")
    allowed = site.folder / "allowed_signers"
    (volume,) = site.media.glob("site-base-*.goose.tar")
    subprocess.run(["tar", "-xf", volume, "-C", tmp_path, "goose"], check=True, timeout=20)
    statement = (tmp_path / "goose" / "statement.json").read_bytes()
    signature = tmp_path / "goose" / "statement.sig.1"
    assert ssh_keygen_accepts(allowed, "goose-bundle@v1", statement, signature)
    assert not ssh_keygen_accepts(allowed, "goose-volumes@v1", statement, signature)
    assert not ssh_keygen_accepts(allowed, "goose-bundle@v1", statement + b" ", signature)


def test_courier_verifies_the_volume_list_with_ssh_keygen(site: Site) -> None:
    part("ssh-keygen")
    allowed = site.folder / "allowed_signers"
    (listed,) = site.media.glob("site-base-*.volumes.json")
    signature = listed.with_name(listed.name + ".sig")
    assert ssh_keygen_accepts(allowed, "goose-volumes@v1", listed.read_bytes(), signature)
    assert not ssh_keygen_accepts(allowed, "goose-bundle@v1", listed.read_bytes(), signature)
