"""A store in a local folder, which is at all times a valid OCI image layout.

::

    oci-layout
    index.json              the refs
    index.json.previous     the refs before the last switch
    blobs/sha256/<hex>      whole, durable, verified
    staging/<hex>/<hex>     blobs of an import that is not done, by root digest
    lock                    held by the one import or clean-up at work

A staged blob is complete but not known to be durable; it moves to its final name only after its
bytes are on the disk. So a blob under its final name needs no second look, not even after a power
loss, and what is found in staging is hashed again before it is believed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from bundles import digest as digests
from bundles import layout
from bundles.store import durable, refs
from bundles.store.errors import BadRefs, BlobMissing, StoreBusy, StoreError, translated
from bundles.store.protocol import Refs

PREVIOUS = "index.json.previous"


class LocalStore:
    """See `bundles.store.protocol.Store`. The folder is made when first written to."""

    name = "local"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blobs = folder / "blobs" / "sha256"
        self._index = folder / "index.json"

    def __str__(self) -> str:
        return str(self.folder)

    def path(self, digest: str) -> Path | None:
        return self._blobs / digests.hex_of(digest)

    def has(self, digest: str) -> bool:
        return os.path.exists(f"{self._blobs}/{digests.hex_of(digest)}")

    def size(self, digest: str) -> int:
        with self._blob_errors(digest):
            return os.stat(f"{self._blobs}/{digests.hex_of(digest)}").st_size

    def open(self, digest: str) -> BinaryIO:
        with self._blob_errors(digest):
            return open(f"{self._blobs}/{digests.hex_of(digest)}", "rb")

    def read(self, digest: str, limit: int) -> bytes:
        with self.open(digest) as file, translated(f"{self.folder}: blob {digest}"):
            data = file.read(limit + 1)
        if len(data) > limit:
            raise StoreError(f"{self.folder}: blob {digest} is longer than {limit} bytes")
        return data

    def digests(self) -> Iterator[str]:
        if not self._blobs.is_dir():
            return
        with translated(str(self._blobs)), os.scandir(self._blobs) as entries:
            for entry in entries:
                yield digests.PREFIX + entry.name

    def refs(self) -> Refs:
        try:
            with translated(str(self._index)):
                data = self._index.read_bytes()
        except StoreError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            if (self.folder / "oci-layout").exists():
                # Never taken for a new store: the sequences that stop a rollback would be lost.
                raise BadRefs(f"{self._index} is missing from a store that has content") from error
            return Refs()
        return refs.decode(data, str(self._index))

    def refs_token(self) -> object:
        try:
            info = os.stat(self._index)
        except FileNotFoundError:
            return None
        return info.st_ino, info.st_mtime_ns, info.st_size

    def free(self) -> int | None:
        """Bytes that an ordinary user may still write, or None where that is unknown."""
        folder = self.folder
        while not folder.exists():
            folder = folder.parent
        info = os.statvfs(folder)
        return info.f_bavail * info.f_frsize

    def ingest(self, root: str) -> LocalIngest:
        """Takes the store for the import of the bundle with root digest `root`.

        Raises `StoreBusy` when another process has it.
        """
        return LocalIngest(self, root)

    def _blob_errors(self, digest: str) -> _BlobErrors:
        return _BlobErrors(self, digest)


class _BlobErrors:
    def __init__(self, store: LocalStore, digest: str) -> None:
        self._what = f"{store.folder}: blob {digest}"

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, FileNotFoundError):
            raise BlobMissing(f"{self._what} is not in the store") from error
        if isinstance(error, OSError):
            raise StoreError(f"{self._what}: {error.strerror or error}") from error


class LocalIngest:
    """One import at work in a local store; a context manager.

    Blobs given to it must have been verified: it stores what it is given. `publish` is the one
    step that others see. `put` and `create` may be called from several threads.
    """

    def __init__(self, store: LocalStore, root: str) -> None:
        self._store = store
        self._blobs = store.folder / "blobs" / "sha256"
        self._staging = store.folder / "staging" / digests.hex_of(root)
        with translated(str(store.folder)):
            self._blobs.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(store.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StoreBusy(f"{store.folder} is being written by another process") from error
            with translated(str(store.folder)):
                self._staging.mkdir(parents=True, exist_ok=True)
                if not (store.folder / "oci-layout").exists():
                    durable.replace_file(store.folder / "index.json", refs.encode(Refs()))
                    durable.replace_file(store.folder / "oci-layout", layout.OCI_LAYOUT)
                self._staged = self._believable()
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for folder in (self._staging, self._staging.parent):
            with suppress(OSError):  # what is staged stays for the next run
                folder.rmdir()
        os.close(self._lock)

    def has(self, digest: str, size: int) -> bool:
        """Whether the blob is in the store, or was staged whole by this or an earlier run.

        One of another size than `size` was damaged since: it counts as missing and is replaced.
        """
        if digest in self._staged:
            return True
        try:
            return os.stat(f"{self._blobs}/{digests.hex_of(digest)}").st_size == size
        except FileNotFoundError:
            return False

    def put(self, digest: str, data: bytes | memoryview) -> None:
        """Stages a small blob. Raises `StoreFull` or `StoreError`."""
        with self.create(digest) as blob:
            blob.write(data)

    def create(self, digest: str) -> StagedBlob:
        """Stages a blob piece by piece: a context manager; left by an exception, it is removed."""
        with translated(str(self._staging)):
            return StagedBlob(f"{self._staging}/{digests.hex_of(digest)}", digest, self._staged)

    def checkpoint(self) -> None:
        """Makes what is staged durable and moves it to its final place."""
        with translated(str(self._store.folder)):
            durable.sync_filesystem(self._lock)
            for digest in self._staged:
                name = digests.hex_of(digest)
                os.rename(f"{self._staging}/{name}", f"{self._blobs}/{name}")
            self._staged.clear()

    def publish(self, change: Callable[[Refs], Refs]) -> Refs:
        """Makes everything durable, then switches the refs to what `change` makes of them."""
        self.checkpoint()
        with translated(str(self._store.folder)):
            durable.sync_folder(self._blobs)
            index = self._store.folder / "index.json"
            old = self._store.refs()
            new = change(old)
            if new != old:
                durable.replace_file(index.with_name(PREVIOUS), refs.encode(old))
                durable.replace_file(index, refs.encode(new))
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

    def __init__(self, path: str, digest: str, staged: set[str]) -> None:
        self._path, self._digest, self._staged = path, digest, staged
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

    def write(self, data: bytes | memoryview) -> None:
        """Appends `data`."""
        try:
            done = os.write(self._file, data)
            while done < len(data):
                done += os.write(self._file, memoryview(data)[done:])
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
