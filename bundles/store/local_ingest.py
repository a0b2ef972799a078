"""An import into a local store: blobs are staged, made durable, and moved to their final names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from bundles import digest as digests
from bundles.store import durable
from bundles.store.errors import translated
from bundles.store.local_lock import LocalLock
from bundles.store.protocol import Refs
from bundles.store.writeout import WriteOut

if TYPE_CHECKING:
    from bundles.store.local import LocalStore


class LocalIngest:
    """See `bundles.store.protocol.Ingest`."""

    def __init__(self, store: LocalStore, root: str) -> None:
        self._store = store
        self._blobs = store.folder / "blobs" / "sha256"
        self._staging = store.folder / "staging" / digests.hex_of(root)
        self._lock = LocalLock(store.folder, "an import")
        try:
            with translated(str(store.folder)):
                self._unfinished = self._staging.exists()
                self._staging.mkdir(parents=True, exist_ok=True)
                self._staged = self._believable()
                self._writing_out = WriteOut(self._lock.sync)
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not self._unfinished:
            for folder in (self._staging, self._staging.parent):
                with suppress(OSError):  # what is staged stays for the next run
                    folder.rmdir()
        self._writing_out.close()
        self._lock.close()

    def has(self, digest: str, size: int) -> bool:
        if digest in self._staged:
            return True
        try:
            return os.stat(f"{self._blobs}/{digests.hex_of(digest)}").st_size == size
        except FileNotFoundError:
            return False

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
            self._lock.sync()
            self._unfinished = True  # no ref leads to them yet, and no clean-up may take them
            for digest in self._staged:
                name = digests.hex_of(digest)
                os.rename(f"{self._staging}/{name}", f"{self._blobs}/{name}")
            self._staged.clear()

    def publish(self, change: Callable[[Refs], Refs]) -> Refs:
        self.checkpoint()
        with translated(str(self._store.folder)):
            durable.sync_folder(self._blobs)
        new = self._lock.switch(self._store.refs(), change)
        self._unfinished = False
        return new

    def _believable(self) -> set[str]:
        """Blobs left by an earlier run that still hash to their name; others are removed."""
        good = set()
        for path in list(self._staging.iterdir()):
            with open(path, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == path.name:
                    good.add(digests.PREFIX + path.name)
                    continue
            path.unlink()
        return good


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
        os.close(self._file)
        if error is None:
            self._staged.add(self._digest)
        else:
            os.unlink(self._path)
