"""Clean-up of a local store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from bundles import digest as digests
from bundles.store import durable
from bundles.store.errors import BlobMissing, translated
from bundles.store.local_lock import LocalLock
from bundles.store.protocol import Leftover, Refs

if TYPE_CHECKING:
    from bundles.store.local import LocalStore


class LocalMaintenance:
    """See `bundles.store.protocol.Maintenance`."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._blobs = store.folder / "blobs" / "sha256"
        self._staging = store.folder / "staging"
        self._lock = LocalLock(store.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._lock.close()

    def remove(self, digest: str) -> None:
        with translated(f"{self._store.folder}: blob {digest}"):
            (self._blobs / digests.hex_of(digest)).unlink(missing_ok=True)

    def quarantine(self, digest: str) -> str:
        name = digests.hex_of(digest)
        folder = self._store.folder / "quarantine"
        what = f"{self._store.folder}: blob {digest}"
        with translated(what):
            folder.mkdir(exist_ok=True)
            try:
                os.replace(self._blobs / name, folder / name)
            except FileNotFoundError as error:
                raise BlobMissing(f"{what} is not in the store") from error
            durable.sync_folder(folder)
            durable.sync_folder(self._blobs)
        return str(folder / name)

    def leftovers(self) -> Sequence[Leftover]:
        found = []
        with translated(str(self._staging)):
            for folder in sorted(self._staging.glob("*")):
                files = [folder, *folder.iterdir()]
                found.append(
                    Leftover(
                        name=folder.name,
                        size=sum(file.stat().st_size for file in files[1:]),
                        modified=datetime.fromtimestamp(
                            max(file.stat().st_mtime for file in files), UTC
                        ),
                    )
                )
        return found

    def discard(self, leftover: Leftover) -> None:
        with translated(str(self._staging)):
            shutil.rmtree(self._staging / leftover.name)

    def publish(self, change: Callable[[Refs], Refs]) -> Refs:
        return self._lock.switch(self._store.refs(), change)
