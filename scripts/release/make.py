"""Makes what is handed out of one commit: the same commit gives the same bytes.

    python scripts/release/make.py --out FOLDER    a new folder

In it are a wheel, a source distribution, the wheelhouse with its installer for a host without an
index, a bill of materials (CycloneDX) and SHA256SUMS. docs/release.md says what each is for.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "image"))  # it makes the same wheels

import bill  # noqa: E402
import sdist  # noqa: E402
import wheelhouse  # noqa: E402
import wheels  # noqa: E402

import bundles  # noqa: E402


def main() -> None:
    """What the module says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="made anew where it is there")
    out = parser.parse_args().out
    epoch = _epoch()
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="goose-release-") as name:
        work = Path(name)
        checkout = work / "checkout"
        _export(checkout)
        own = wheelhouse.plain(wheels.own(work, epoch, checkout), epoch)
        house = wheelhouse.Wheelhouse(work / "house", own, epoch)
        shutil.copy(own, out)
        sdist.write(checkout, own, out, epoch)
        version = bundles.__version__
        house.write(out / f"goosectl-{version}-linux-x86_64.tar", f"goosectl-{version}")
        (out / f"goosectl-{version}.cdx.json").write_text(bill.of(house, own, epoch))
    sums = wheelhouse.sums({path.name: path.read_bytes() for path in out.iterdir()})
    (out / "SHA256SUMS").write_bytes(sums)
    print(hashlib.sha256(sums).hexdigest())


def _export(folder: Path) -> None:
    """What the last commit holds, and nothing else that lies about in the checkout."""
    if _git("status", "--porcelain"):
        sys.exit(
            "error: a release is made of a commit, and there are changes beside the last one\n"
            "hint: git status; commit them, or git stash"
        )
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", "HEAD"))) as tar:
        tar.extractall(folder, filter="data")
    for path in folder.rglob("*"):  # whatever the umask, only who may execute it tells modes apart
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _epoch() -> int:
    """SOURCE_DATE_EPOCH, or else when what is checked out was committed."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct"))


def _git(*words: str) -> bytes:
    done = subprocess.run(["git", "-C", str(wheels.ROOT), *words], capture_output=True, check=False)
    if done.returncode:
        sys.exit(
            f"error: git {words[0]}: {done.stderr.decode(errors='replace').strip()}\n"
            "hint: a release is made of a commit: run this in a clone"
        )
    return done.stdout


if __name__ == "__main__":
    main()
