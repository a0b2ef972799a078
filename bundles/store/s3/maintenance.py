"""Clean-up of an S3 store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from bundles import digest as digests
from bundles.store.errors import BlobMissing
from bundles.store.protocol import Leftover, Refs, Store
from bundles.store.s3.index import Index
from bundles.store.s3.keys import QUARANTINE, blob_key
from bundles.store.s3.lease import Lease
from bundles.store.s3.unfinished import Unfinished
from bundles.store.s3.wire import Wire


class S3Maintenance:
    """See `bundles.store.protocol.Maintenance`."""

    def __init__(self, store: Store, wire: Wire, index: Index, lease: Lease) -> None:
        self._store, self._wire, self._index, self._lease = store, wire, index, lease
        self._unfinished = Unfinished(wire)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._lease.close()

    def remove(self, digest: str) -> None:
        self._lease.check()  # at each: an import that has the lock now may count on the blob
        self._wire.delete(blob_key(digest))

    def quarantine(self, digest: str) -> str:
        self._lease.check()
        to, copies = QUARANTINE + digests.hex_of(digest), 0
        while self._wire.head(to) is not None:  # an earlier damage of the same blob is kept too
            copies += 1
            to = f"{QUARANTINE}{digests.hex_of(digest)}.{copies}"
        if not self._wire.move(blob_key(digest), to):
            raise BlobMissing(f"{self._wire.address}: blob {digest} is not in the store")
        return f"{self._wire.address}/{to}"

    def leftovers(self) -> Sequence[Leftover]:
        return self._unfinished.leftovers()

    def document(self, leftover: Leftover, digest: str, limit: int) -> bytes:
        return self._store.read(digest, limit)  # nothing is staged but the parts of large blobs

    def discard(self, leftover: Leftover) -> None:
        self._lease.check()
        self._unfinished.discard(leftover)

    def publish(self, change: Callable[[Refs], Refs]) -> Refs:
        self._lease.check()
        return self._index.switch(change)

    def settle(self) -> None:
        self._lease.check()
        self._index.settle()
