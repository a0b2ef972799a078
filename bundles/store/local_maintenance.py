"""Clean-up of a local store."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from bundles import digest as digests
from bundles.files import durable
from bundles.store.errors import BadRefs, BlobMissing, StoreError, StoreFull, translated
from bundles.store.local_lock import PREVIOUS, LocalLock
from bundles.store.protocol import Leftover, Refs

if TYPE_CHECKING:
    from bundles.store.local import LocalStore


class LocalMaintenance:
    """See `bundles.store.protocol.Maintenance`."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._blobs = store.folder / "blobs" / "sha256"
        self._staging = store.folder / "staging"
        self._lock = LocalLock(store.folder, "a clean-up")

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
            durable.sync_folder(self._store.folder)
            target, copies = folder / name, 0
            while target.exists():  # an earlier damage of the same blob is kept too
                copies += 1
                target = folder / f"{name}.{copies}"
            try:
                durable.move(self._blobs / name, target)
            except FileNotFoundError as error:
                raise BlobMissing(f"{what} is not in the store") from error
        return str(target)

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
                        root=digests.PREFIX + folder.name,
                    )
                )
        return found

    def discard(self, leftover: Leftover) -> None:
        with translated(str(self._staging)):
            shutil.rmtree(self._staging / leftover.name)

    def document(self, leftover: Leftover, digest: str, limit: int) -> bytes:
        staged = self._staging / leftover.name / digests.hex_of(digest)
        with translated(str(staged)):
            try:
                with open(staged, "rb") as file:
                    data = file.read(limit + 1)
            except FileNotFoundError:
                return self._store.read(digest, limit)
        if len(data) > limit:
            raise StoreError(f"{staged} is longer than {limit} bytes")
        return data

    def publish(self, change: Callable[[Refs], Refs]) -> Refs:
        return self._lock.switch(self._store.refs(), change)

    def settle(self) -> None:
        now = self._store.refs()
        try:
            same = self._store.previous_refs() == now
        except BadRefs:
            same = False
        if not same:
            try:
                self._lock.settle(now)
            except StoreFull:  # and what is removed next is to make room
                with translated(str(self._store.folder)):
                    (self._store.folder / PREVIOUS).unlink(missing_ok=True)
                    durable.sync_folder(self._store.folder)
