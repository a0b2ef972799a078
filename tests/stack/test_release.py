"""What make release makes: the same bytes twice; from it alone, with no route, the quickstart."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import bundles
from tests.checkout import ROOT, copied
from tests.parts import part

WHEELHOUSE = f"goosectl-{bundles.__version__}"
SOURCE = f"goose_provisioning-{bundles.__version__}"
VOLUME = "goose-release-2026.11.1.1of1.goose.tar"
COMMITTED = 1_790_000_000

# As docs/release.md has it. $1 media, $2 and $3 the digests that were told on paper.
FIRST_HOST = f"""
set -eu
tar -xOf "$1/{VOLUME}" "blobs/sha256/$2" > goosectl.tar
echo "$2  goosectl.tar" | sha256sum -c
tar -xf goosectl.tar
{WHEELHOUSE}/install.sh "$PWD/goose"
tar -xOf "$1/{VOLUME}" "blobs/sha256/$3" > source.tar.gz
echo "$3  source.tar.gz" | sha256sum -c
tar -xf source.tar.gz
PATH=$PWD/goose/bin:$PATH
exec {SOURCE}/scripts/quickstart.sh "$PWD/quickstart"
"""


def git(folder: Path, *words: str) -> None:
    known = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    date = f"{COMMITTED} +0000"
    environ = os.environ | {"GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": date}
    subprocess.run([part("git"), *known, *words], cwd=folder, check=True, env=environ)


def release(checkout: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    command = [sys.executable, checkout / "scripts/release/make.py"]
    return subprocess.run(
        [*command, "--out", checkout / "dist/release"],
        capture_output=True, text=True, check=False, env=known | environ,
    )  # fmt: skip


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with one commit of what is here, and what make release makes of it."""
    folder = copied(tmp_path_factory.mktemp("first") / "checkout")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "All")
    done = release(folder)
    assert done.returncode == 0, done.stderr
    return folder


def sums(checkout: Path) -> dict[str, str]:
    """The digest of each file by its name, as SHA256SUMS has them."""
    lines = (checkout / "dist/release/SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def test_made_in_another_folder_at_another_time_it_is_the_same_bytes(
    checkout: Path, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", str(checkout), "elsewhere")
    before = os.umask(0o077)
    try:
        done = release(tmp_path / "elsewhere", TZ="Asia/Tokyo")
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    assert sums(tmp_path / "elsewhere") == sums(checkout)
    for name, digest in sums(checkout).items():
        data = (tmp_path / "elsewhere/dist/release" / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest, name
    with tarfile.open(checkout / "dist/release" / f"{SOURCE}.tar.gz") as tar:
        assert {member.mtime for member in tar} == {COMMITTED}


def test_the_bill_names_every_wheel_by_its_digest(checkout: Path) -> None:
    folder = checkout / "dist/release"
    bill = json.loads((folder / f"{WHEELHOUSE}.cdx.json").read_text())
    named = {
        file["name"]: file["hashes"][0]["content"]
        for package in (bill["metadata"]["component"], *bill["components"])
        for file in package["components"]
    }
    with tarfile.open(folder / f"{WHEELHOUSE}-linux-x86_64.tar") as tar:
        held = {
            member.name.rpartition("/")[2]: hashlib.sha256(file.read()).hexdigest()
            for member in tar
            if member.name.endswith(".whl") and (file := tar.extractfile(member))
        }
    assert len(held) > 30 and named == held
    edges = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}
    assert "cryptography" in edges["goose-provisioning"]


def test_changes_beside_the_commit_are_refused(checkout: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", str(checkout), "changed")
    (tmp_path / "changed/README.md").write_text("Changed.\n")
    done = release(tmp_path / "changed")
    assert done.returncode == 1
    assert done.stderr.startswith("error: a release is made of a commit, and there are changes")


def test_out_of_the_bundle_the_quickstart_runs_where_no_route_is(
    checkout: Path, tmp_path: Path
) -> None:
    """Zero packets leave, counted, and none is tried."""
    for name in ("ssh-keygen", "tar", "unshare", "kernel", "busybox", "qemu-system-x86_64"):
        part(name)
    goosectl = Path(sys.executable).parent / "goosectl"
    media = tmp_path / "media"
    for words in (
        ("key", "new", "release", "--out", tmp_path / "keys"),
        ("bundle", "build", checkout / "examples/bundles/release.yaml",
         "--key", tmp_path / "keys/release", "--out", media),
    ):  # fmt: skip
        subprocess.run([goosectl, *words], check=True, cwd=tmp_path, capture_output=True)
    told = sums(checkout)
    digests = (told[f"{WHEELHOUSE}-linux-x86_64.tar"], told[f"{SOURCE}.tar.gz"])
    host = tmp_path / "host"
    host.mkdir()
    # Nothing of the checkout: the system's PATH, and the Python that the wheels are for.
    base = Path(sys.base_prefix) / "bin/python3"
    environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(host), "PYTHON": str(base)}
    done = subprocess.run(
        [ROOT / "scripts/sealed.sh", "sh", "-c", FIRST_HOST, "sh", media, *digests],
        cwd=host, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All done" in done.stdout and "guest: done" in done.stdout
    assert done.stderr.endswith("sealed: 0 packets left, 0 had no route\n")
    assert (host / "goose/share/man/man1/goosectl.1").is_file(), "where man looks, by PATH"
