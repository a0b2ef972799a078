"""A store in an S3 bucket, which is at all times a valid OCI image layout.

::

    oci-layout
    index.json              the refs
    index.json.previous     the refs before the last switch
    blobs/sha256/<hex>      whole and verified
    quarantine/<hex>        blobs that were found damaged
    staging/<hex>/          empty objects that tell of an import that is not done, by root digest
    lock                    who writes, kept up to date: bundles.store.s3.lease

An object appears whole or not at all, and once it was answered for it is durable: that is S3's own
promise, so that no blob is staged here.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bundles.store.errors import BlobMissing, checked
from bundles.store.protocol import Refs, StoredBlob
from bundles.store.s3.address import S3Address
from bundles.store.s3.index import Index
from bundles.store.s3.ingest import S3Ingest
from bundles.store.s3.keys import BLOBS, blob_key, digest_of
from bundles.store.s3.lease import Lease
from bundles.store.s3.maintenance import S3Maintenance
from bundles.store.s3.retry import Retry
from bundles.store.s3.stream import BlobStream
from bundles.store.s3.unfinished import Unfinished
from bundles.store.s3.wire import Wire

_READING = Retry(patience=10)  # someone waits for an answer
_WRITING = Retry(patience=120)  # long enough for a service to start again


class S3Store:
    """See `bundles.store.protocol.Store`."""

    name = "s3"
    remote = True

    def __init__(
        self, address: S3Address, reading: Retry = _READING, writing: Retry = _WRITING
    ) -> None:
        self.address = address
        self._writing = writing
        self._wire = Wire(address, reading)
        self._index = Index(self._wire)

    def __str__(self) -> str:
        return str(self.address)

    def path(self, digest: str) -> Path | None:
        return None

    def url(self, digest: str, seconds: int) -> str | None:
        return self._wire.signed_url(blob_key(digest), seconds)

    def has(self, digest: str) -> bool:
        return self._wire.head(blob_key(digest)) is not None

    def size(self, digest: str) -> int:
        found = self._wire.head(blob_key(digest))
        if found is None:
            raise self._missing(digest)
        return found.size

    def open(self, digest: str) -> BinaryIO:
        stream = BlobStream(
            self._wire, blob_key(digest), self.size(digest), lambda: self._missing(digest)
        )
        return io.BufferedReader(stream)

    def read(self, digest: str, limit: int) -> bytes:
        found = self._wire.get(blob_key(digest), limit + 1)
        if found is None:
            raise self._missing(digest)
        return checked(found.data, digest, limit, f"{self}: blob {digest}")

    def blobs(self) -> Iterator[StoredBlob]:
        for found in self._wire.list(BLOBS):
            yield StoredBlob(digest_of(found.key), found.size, found.modified)

    def refs(self) -> Refs:
        return self._index.read()

    def previous_refs(self) -> Refs:
        return self._index.previous()

    def refs_token(self) -> object:
        return self._index.token()

    def free(self) -> int | None:
        """What the quota leaves of it; S3 itself has no call that tells.

        Counts by listing, a thousand objects a request, with the parts of unfinished uploads.
        """
        quota = self.address.quota
        if quota is None:
            return None
        used = sum(found.size for found in self._wire.list(""))
        used += sum(left.size for left in Unfinished(self._wire).leftovers())
        return max(0, quota - used)

    def ingest(self, root: str) -> S3Ingest:
        return S3Ingest(*self._hold("an import"), root)

    def maintain(self) -> S3Maintenance:
        return S3Maintenance(self, *self._hold("a clean-up"))

    def _hold(self, task: str) -> tuple[Wire, Index, Lease]:
        self._index.read()  # with little patience: a wrong key or address is told at once
        wire = Wire(self.address, self._writing)
        return wire, Index(wire), Lease(wire, task)

    def _missing(self, digest: str) -> BlobMissing:
        return BlobMissing(f"{self}: blob {digest} is not in the store")
