"""The source distribution: every file of the commit, so that it can be tested and released again.

Source: the source distribution format (packaging.python.org): NAME-VERSION.tar.gz, in it one folder
with PKG-INFO, whose content is the wheel's METADATA.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path


def write(checkout: Path, wheel: Path, out: Path, epoch: int) -> Path:
    """Writes it into the folder `out`; PKG-INFO is taken from Goose's own wheel."""
    name, version = wheel.name.split("-")[:2]
    top = f"{name}-{version}"
    with zipfile.ZipFile(wheel) as archive:
        files = {"PKG-INFO": (0o644, archive.read(f"{top}.dist-info/METADATA"))}
    for path in checkout.rglob("*"):
        relative = str(path.relative_to(checkout))
        # What setuptools leaves where it builds a wheel is no part of the commit.
        if path.is_file() and not relative.startswith(("build/", f"{name}.egg-info/")):
            files[relative] = (path.stat().st_mode & 0o777, path.read_bytes())
    target = out / f"{top}.tar.gz"
    with target.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=epoch) as packed:
        packed.write(tar({f"{top}/{path}": file for path, file in files.items()}, epoch))
    return target


def tar(files: dict[str, tuple[int, bytes]], epoch: int) -> bytes:
    """A tar of files, each with mode and content, in the order of their paths."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, (mode, data) in sorted(files.items()):
            info = tarfile.TarInfo(path)
            info.mode, info.size, info.mtime = mode, len(data), epoch
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
