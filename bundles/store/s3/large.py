"""A large blob on its way into an S3 store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Self

from bundles.store.s3.multipart import PART, Multipart, UploadedPart
from bundles.store.s3.uploads import Uploads


class LargeBlob:
    """See `bundles.store.protocol.NewBlob`. Parts are sent while the next is read; parts that an
    earlier import sent, with the same bytes, are not sent again.

    Left by an exception the upload stays open, for the next import to go on from: nobody sees it.
    """

    def __init__(
        self,
        key: str,
        multipart: Multipart,
        uploads: Uploads,
        small: Callable[[bytes], None],
        stored: Callable[[int], None],
        note: Callable[[], None],
    ) -> None:
        self._key, self._multipart, self._uploads = key, multipart, uploads
        self._small = small  # takes a blob that turns out to fit into one request
        self._stored = stored  # is told the size of one that was sent in parts
        self._upload = ""
        self._note = note  # writes down that parts will be sent
        self._found: Mapping[int, UploadedPart] = {}
        self._waiting = bytearray()
        self._count = 0  # parts
        self._size = 0  # bytes of these
        self._etags: dict[int, str] = {}
        self._whole = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None:
            return
        if not self._count:
            self._small(bytes(self._waiting))
            return
        if self._waiting:
            self._send(bytes(self._waiting))
        self._stored(self._size)
        with self._lock:
            self._whole = True
            complete = len(self._etags) == self._count
        if complete:
            self._complete()

    def write(self, data: bytes | memoryview) -> None:
        self._waiting += data
        # One byte more than a part has: a blob of one part's size is not sent in parts.
        while len(self._waiting) > PART:
            self._send(bytes(memoryview(self._waiting)[:PART]))
            del self._waiting[:PART]

    def _send(self, data: bytes) -> None:
        if not self._count:
            self._begin()
        self._count += 1
        self._size += len(data)
        number = self._count
        self._uploads.submit(len(data), lambda: self._part(number, data))

    def _begin(self) -> None:
        """Goes on with the newest upload that a killed import left; nobody will with others."""
        self._note()
        left = self._multipart.open(self._key)
        for upload in left[:-1]:
            self._multipart.abort(self._key, upload.upload)
        if left:
            self._upload = left[-1].upload
            self._found = self._multipart.parts(self._key, self._upload)
        else:
            self._upload = self._multipart.begin(self._key)

    def _part(self, number: int, data: bytes) -> None:
        found = self._found.get(number)
        if found is not None and found.holds(data):
            etag = found.etag
        else:
            etag = self._multipart.send(self._key, self._upload, number, data)
        with self._lock:
            self._etags[number] = etag
            complete = self._whole and len(self._etags) == self._count
        if complete:
            self._complete()

    def _complete(self) -> None:
        self._multipart.complete(self._key, self._upload, self._etags, self._size)
