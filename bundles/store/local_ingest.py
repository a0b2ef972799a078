"""An import into a local store: blobs are staged, made durable, and moved to their final names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bundles import digest as digests
from bundles.files import durable
from bundles.files.writeout import WriteOut
from bundles.store.errors import translated
from bundles.store.local_lock import LocalLock
from bundles.store.protocol import Refs

if TYPE_CHECKING:
    from bundles.store.local import LocalStore


class LocalIngest:
    """See `bundles.store.protocol.Ingest`."""

    def __init__(self, store: LocalStore, root: str) -> None:
        self._store = store
        self._blobs = store.folder / "blobs" / "sha256"
        self._staging = store.folder / "staging" / digests.hex_of(root)
        self._lock = LocalLock(store.folder, "an import")
        self._sync_failed = False
        try:
            with translated(str(store.folder)):
                self._unfinished = self._staging.exists()
                self._staging.mkdir(parents=True, exist_ok=True)
                self._staged = self._believable()
                self._writing_out = WriteOut(self._sync)
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._writing_out.close()
        if self._sync_failed:
            self._give_up()
        if not self._unfinished:
            for folder in (self._staging, self._staging.parent):
                with suppress(OSError):  # what is staged stays for the next run
                    folder.rmdir()
        self._lock.close()

    def has(self, digest: str, size: int) -> bool:
        if digest in self._staged:
            return True
        try:
            return os.stat(f"{self._blobs}/{digests.hex_of(digest)}").st_size == size
        except FileNotFoundError:
            return False
        except OSError:
            with translated(f"{self._store.folder}: blob {digest}"):
                raise

    def put(self, digest: str, data: bytes | memoryview) -> None:
        with self.create(digest) as blob:
            blob.write(data)

    def create(self, digest: str) -> StagedBlob:
        with translated(str(self._staging)):
            path = f"{self._staging}/{digests.hex_of(digest)}"
            return StagedBlob(path, digest, self._staged, self._writing_out)

    def checkpoint(self) -> None:
        with translated(str(self._store.folder)):
            self._writing_out.wait()
            self._sync()
            self._unfinished = True  # no ref leads to them yet, and no clean-up may take them
            for digest in self._staged:
                name = digests.hex_of(digest)
                os.rename(f"{self._staging}/{name}", f"{self._blobs}/{name}")
            self._staged.clear()
            durable.sync_folder(self._blobs)

    def publish(self, change: Callable[[Refs], Refs]) -> Refs:
        self.checkpoint()
        new = self._lock.switch(self._store.refs(), change)
        self._unfinished = False
        return new

    def _sync(self) -> None:
        try:
            self._lock.sync()
        except OSError:
            self._sync_failed = True
            raise

    def _give_up(self) -> None:
        """Removes what is staged after a sync that failed: Linux counts what it could not write as
        written from then on. It can be read until memory is needed elsewhere, no later sync tries
        it again, and so the next run must not believe it."""
        for digest in self._staged:
            with suppress(OSError):
                os.unlink(f"{self._staging}/{digests.hex_of(digest)}")
        self._staged.clear()

    def _believable(self) -> set[str]:
        """Blobs left by an earlier run that still hash to their name; others are removed."""
        good = set()
        for path in list(self._staging.iterdir()):
            if _hash(path) == path.name:
                good.add(digests.PREFIX + path.name)
            else:
                path.unlink()
        return good


def _hash(path: Path) -> str | None:
    """The SHA-256 of what is on the disk; None where that cannot be read."""
    try:
        with open(path, "rb") as file:
            # Memory may hold what the disk never took, if the run that was told so was killed.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


class StagedBlob:
    """A blob on its way in."""

    def __init__(self, path: str, digest: str, staged: set[str], writing_out: WriteOut) -> None:
        self._path, self._digest, self._staged = path, digest, staged
        self._writing_out = writing_out
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

    def write(self, data: bytes | memoryview) -> None:
        """Appends `data`."""
        try:
            done = os.write(self._file, data)
            while done < len(data):
                done += os.write(self._file, memoryview(data)[done:])
            self._writing_out.wrote(done)
        except OSError:
            with translated(self._path):
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with translated(self._path):
            try:
                os.close(self._file)  # some file systems tell only now that there is no space
            except OSError:
                os.unlink(self._path)
                raise
            if error is None:
                self._staged.add(self._digest)
            else:
                os.unlink(self._path)
