"""Copying a file or a folder out of a store: parts joined, digests checked, its name at the end."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO

from bundles import digest as digests
from bundles.errors import GooseError, shown
from bundles.files import durable
from bundles.progress import Progress
from bundles.site.catalog import Catalog, StoredFile
from bundles.store.errors import StoreError, translated
from bundles.store.protocol import BundleRef, Store

_CHUNK = 1024 * 1024  # bytes
_COMPARED = 10_000  # paths at most that a wrong one is compared with


class NoSuchFile(GooseError):
    """A bundle holds no file of that path."""

    code = "no-such-file"


class DamagedFile(StoreError):
    """A stored file does not have the digest that its manifest gives."""

    code = "damaged-file"
    default_hint = (
        "run `goosectl store fsck`: it tells what is damaged and how to get it again; where that is"
        " nothing, its builder gave a wrong digest of the whole file"
    )


class TargetExists(GooseError):
    """A folder would be copied to where something is already."""

    code = "target-exists"
    default_hint = "remove it, or choose another --out"


def find(catalog: Catalog, ref: BundleRef, path: str) -> StoredFile:
    """The file at `path` of the version `ref`. Raises `NoSuchFile`, with the nearest name."""
    file = catalog.find(ref.name, ref.version, path)
    if file is None:
        paths = [file.path for file in catalog.list(ref.name, ref.version)][:_COMPARED]
        near = get_close_matches(path, paths, 1)
        raise NoSuchFile(
            f"{ref.name} {ref.version} has no file {shown(path)}",
            hint=f"did you mean {near[0]}?"
            if near
            else f"see `goosectl store ls {ref.name}@{ref.version}`",
        )
    return file


def extract(store: Store, file: StoredFile, target: Path, progress: Progress) -> None:
    """Copies `file` to `target`, in the place of what is there, durably and in one step.

    Raises `StoreError`, `BlobMissing` or `DamagedFile`; `target` is then as it was.
    """
    with translated(str(target)), durable.replacement(target) as out:
        progress.start("copying", file.size)
        _copy(store, file, out, progress)
        with suppress(PermissionError):  # a file system without modes, as on many a USB stick
            os.fchmod(out.fileno(), file.mode & 0o777)
        progress.finish()


def below(catalog: Catalog, ref: BundleRef, path: str) -> list[StoredFile]:
    """The files below the folder `path` of the version `ref`; none where it is no folder."""
    prefix = path.rstrip("/") + "/"
    listed = catalog.list(ref.name, ref.version)
    return [file for file in listed if file.path.startswith(prefix)]


def extract_folder(
    store: Store, files: Sequence[StoredFile], path: str, target: Path, progress: Progress
) -> None:
    """Copies `files`, all those below the folder `path`, to the new folder `target`, durably and in
    one step. A tree becomes the tree, an image its OCI layout.

    Raises `TargetExists`, `StoreError`, `BlobMissing` or `DamagedFile`; `target` is then not there.
    """
    if target.exists() or target.is_symlink():
        raise TargetExists(f"{target} is already there", file=str(target))
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    progress.start("copying", sum(file.size for file in files))
    try:
        with translated(str(target)):
            for file in files:
                place = partial / file.path.removeprefix(path.rstrip("/") + "/")
                place.parent.mkdir(parents=True, exist_ok=True)
                with open(place, "xb") as out:
                    _copy(store, file, out, progress)
                    with suppress(PermissionError):
                        os.fchmod(out.fileno(), file.mode & 0o777)
            descriptor = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
            try:
                durable.sync_filesystem(descriptor)
            finally:
                os.close(descriptor)
            os.rename(partial, target)
            durable.sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    progress.finish()


def _copy(store: Store, file: StoredFile, out: BinaryIO, progress: Progress) -> None:
    hashed = hashlib.sha256()
    for part in file.parts:
        with store.open(part.digest) as blob:
            while chunk := blob.read(_CHUNK):
                hashed.update(chunk)
                out.write(chunk)
                progress.advance(len(chunk), file.path)
    if digests.PREFIX + hashed.hexdigest() != file.digest:
        raise DamagedFile(f"{file.path} is damaged: it does not hash to {file.digest}")
