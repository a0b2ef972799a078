"""An import into an S3 store.

A small blob is sent whole once its digest is known to be right; a large one in parts, which become
visible as a blob only when all are there and the digest is right. What an import that was killed
had sent is found again: whole blobs by their keys, parts by their MD5.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Self

from bundles import digest as digests
from bundles.store.protocol import Refs
from bundles.store.s3.index import Index
from bundles.store.s3.keys import BLOBS, blob_key, digest_of
from bundles.store.s3.large import LargeBlob
from bundles.store.s3.lease import Lease
from bundles.store.s3.multipart import Multipart
from bundles.store.s3.unfinished import Notes
from bundles.store.s3.uploads import Uploads
from bundles.store.s3.wire import Wire

_LOOKS = 100  # blobs looked for one by one; whoever asks for more gets the whole listing read


class S3Ingest:
    """See `bundles.store.protocol.Ingest`. At most 64 MiB of blobs are in memory."""

    def __init__(self, wire: Wire, index: Index, lease: Lease, root: str) -> None:
        self._wire, self._index, self._lease = wire, index, lease
        self._multipart = Multipart(wire)
        self._known: dict[str, int] = {}  # sizes of blobs here or under way
        self._looks = 0
        self._looking = threading.Lock()
        self._listed = False
        try:
            index.begin()
            self._notes = Notes(wire, root)
            self._begun = _begun(self._multipart)
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
        if digest not in self._known and not self._listed:
            with self._looking:
                self._look(digest)
        return self._known.get(digest) == size

    def put(self, digest: str, data: bytes | memoryview) -> None:
        self._notes.began()
        body = bytes(data)
        self._known[digest] = len(body)
        self._uploads.submit(len(body), lambda: self._send(digest, body))

    def create(self, digest: str) -> LargeBlob:
        key = blob_key(digest)
        self._notes.began()
        return LargeBlob(
            key,
            self._multipart,
            self._uploads,
            small=lambda data: self.put(digest, data),
            stored=lambda size: self._known.__setitem__(digest, size),
            begun=self._begun.pop(key, None),
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

    def _look(self, digest: str) -> None:
        if self._listed or digest in self._known:
            return
        self._looks += 1
        if self._looks > _LOOKS:
            for found in self._wire.list(BLOBS):
                self._known.setdefault(digest_of(found.key), found.size)
            self._listed = True
        elif (blob := self._wire.head(blob_key(digest))) is not None:
            self._known[digest] = blob.size

    def _send(self, digest: str, body: bytes) -> None:
        checksum = base64.b64encode(bytes.fromhex(digests.hex_of(digest))).decode()
        self._wire.put(blob_key(digest), body, {"x-amz-checksum-sha256": checksum})


def _begun(multipart: Multipart) -> dict[str, str]:
    """The uploads that killed imports left open, by key. Of several for one key the newest is gone
    on with and the others, which nobody will, are given up."""
    found: dict[str, str] = {}
    for begun in sorted(multipart.open(BLOBS), key=lambda upload: upload.begun):
        if begun.key in found:
            multipart.abort(begun.key, found[begun.key])
        found[begun.key] = begun.upload
    return found
