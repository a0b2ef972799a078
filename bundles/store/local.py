"""A store in a local folder, which is at all times a valid OCI image layout.

::

    oci-layout
    index.json              the refs
    index.json.previous     the refs before the last switch
    blobs/sha256/<hex>      whole, durable, verified
    staging/<hex>/<hex>     blobs of an import that is not done, by root digest; the folder stays
                            until it is, also when all that came is in its final place
    quarantine/<hex>        blobs that were found damaged
    lock                    held by the one import or clean-up at work; says which

A staged blob is complete but not known to be durable; it moves to its final name only after its
bytes are on the disk. So a blob under its final name needs no second look, not even after a power
loss, and what is found in staging is hashed again before it is believed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from bundles import digest as digests
from bundles.store import refs
from bundles.store.errors import BadRefs, BlobMissing, StoreError, checked, translated
from bundles.store.local_ingest import LocalIngest
from bundles.store.local_lock import INDEX, PREVIOUS
from bundles.store.local_maintenance import LocalMaintenance
from bundles.store.protocol import Refs, StoredBlob

_NAME = 64  # characters of a blob's file name; what else lies there is not ours


class LocalStore:
    """See `bundles.store.protocol.Store`. The folder is made when first written to."""

    name = "local"
    remote = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blobs = folder / "blobs" / "sha256"
        self._index = folder / INDEX

    def __str__(self) -> str:
        return str(self.folder)

    def path(self, digest: str) -> Path | None:
        return self._blobs / digests.hex_of(digest)

    def url(self, digest: str, seconds: int) -> str | None:
        return None

    def has(self, digest: str) -> bool:
        return os.path.exists(f"{self._blobs}/{digests.hex_of(digest)}")

    def size(self, digest: str) -> int:
        with self._blob_errors(digest):
            return os.stat(f"{self._blobs}/{digests.hex_of(digest)}").st_size

    def open(self, digest: str) -> BinaryIO:
        with self._blob_errors(digest):
            return open(f"{self._blobs}/{digests.hex_of(digest)}", "rb")

    def read(self, digest: str, limit: int) -> bytes:
        what = f"{self.folder}: blob {digest}"
        with translated(what), self.open(digest) as file:
            data = file.read(limit + 1)
        return checked(data, digest, limit, what)

    def blobs(self) -> Iterator[StoredBlob]:
        if not self._blobs.is_dir():
            return
        with translated(str(self._blobs)), os.scandir(self._blobs) as entries:
            for entry in entries:
                if len(entry.name) != _NAME:
                    continue
                try:
                    info = entry.stat()
                except FileNotFoundError:  # a clean-up was faster
                    continue
                modified = datetime.fromtimestamp(info.st_mtime, UTC)
                yield StoredBlob(digests.PREFIX + entry.name, info.st_size, modified)

    def refs(self) -> Refs:
        found = self._refs_in(self._index)
        if found is None and (self.folder / "oci-layout").exists():
            # A first import makes the refs and then the layout, maybe just now.
            found = self._refs_in(self._index)
            if found is not None:
                return found
            # Never taken for a new store: the sequences that stop a rollback would be lost.
            raise BadRefs(f"{self._index} is missing from a store that has content")
        return found or Refs()

    def previous_refs(self) -> Refs:
        return self._refs_in(self.folder / PREVIOUS) or Refs()

    def _refs_in(self, path: Path) -> Refs | None:
        try:
            with translated(str(path)):
                data = path.read_bytes()
        except StoreError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        return refs.decode(data, str(path))

    def refs_token(self) -> object:
        try:
            info = os.stat(self._index)
        except FileNotFoundError:
            return None
        except OSError:
            with translated(str(self._index)):
                raise
        return info.st_ino, info.st_mtime_ns, info.st_size

    def free(self) -> int | None:
        folder = self.folder
        with translated(str(folder)):
            while not folder.exists():
                folder = folder.parent
            info = os.statvfs(folder)
        return info.f_bavail * info.f_frsize

    def ingest(self, root: str) -> LocalIngest:
        return LocalIngest(self, root)

    def maintain(self) -> LocalMaintenance:
        return LocalMaintenance(self)

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
