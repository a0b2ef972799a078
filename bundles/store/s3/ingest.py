"""An import into an S3 store.

A small blob is sent whole once its digest is known to be right; a large one in parts, which become
visible as a blob only when all are there and the digest is right. What an import that was killed
had sent is found again: whole blobs by their keys, parts by their MD5.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Self

from bundles import digest as digests
from bundles.store.protocol import Refs
from bundles.store.s3.index import Index
from bundles.store.s3.keys import blob_key
from bundles.store.s3.large import LargeBlob
from bundles.store.s3.lease import Lease
from bundles.store.s3.multipart import Multipart
from bundles.store.s3.present import Present
from bundles.store.s3.unfinished import Notes
from bundles.store.s3.uploads import Uploads
from bundles.store.s3.wire import Wire


class S3Ingest:
    """See `bundles.store.protocol.Ingest`. At most 64 MiB of blobs are in memory."""

    def __init__(self, wire: Wire, index: Index, lease: Lease, root: str) -> None:
        self._wire, self._index, self._lease = wire, index, lease
        self._multipart = Multipart(wire)
        self._present = Present(wire)
        try:
            index.begin()
            self._notes = Notes(wire, root)
        except BaseException:
            lease.close()
            raise
        self._uploads = Uploads()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None:
            self._wire.hurry()
        self._uploads.close()
        self._lease.close()

    def has(self, digest: str, size: int) -> bool:
        return self._present.size(digest) == size

    def put(self, digest: str, data: bytes | memoryview) -> None:
        self._notes.began()
        body = bytes(data)
        self._present.add(digest, len(body))
        self._uploads.submit(len(body), lambda: self._send(digest, body))

    def create(self, digest: str) -> LargeBlob:
        self._notes.began()
        return LargeBlob(
            blob_key(digest),
            self._multipart,
            self._uploads,
            small=lambda data: self.put(digest, data),
            stored=lambda size: self._present.add(digest, size),
            note=lambda: self._notes.began_large(digest),
        )

    def checkpoint(self) -> None:
        self._uploads.drain()
        self._lease.check()

    def publish(self, change: Callable[[Refs], Refs]) -> Refs:
        self.checkpoint()
        new = self._index.switch(change)
        self._notes.forget()
        return new

    def _send(self, digest: str, body: bytes) -> None:
        checksum = base64.b64encode(bytes.fromhex(digests.hex_of(digest))).decode()
        self._wire.put(blob_key(digest), body, {"x-amz-checksum-sha256": checksum})
