"""Layers taken out of a stream and kept in memory: what came sealed must not touch the disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Self

from bundles.errors import GooseError
from bundles.making.volumebase import BlobFile, Extent

MAX_HELD = 1024**3  # bytes


class SpoolFull(GooseError):
    """More is taken out of sealed volumes than is kept in memory."""

    code = "spool-full"
    default_hint = "open the volumes first (age -d), or send the whole volume again"


class Spool:
    """A `Sink` that takes the layers with the digests `wanted`, each once; a context manager.

    In an anonymous file of memfd_create(2). Raises `SpoolFull` beyond `MAX_HELD` bytes.
    """

    def __init__(self, wanted: Collection[str]) -> None:
        self._wanted = wanted
        self._held: dict[str, Extent] = {}
        self._end = 0
        self._lock = threading.Lock()
        self._file = os.memfd_create("goose-spool", os.MFD_CLOEXEC)
        self._path = Path(f"/proc/self/fd/{self._file}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def has(self, digest: str, size: int) -> bool:
        """See `Sink`: what is not wanted need not be read."""
        return digest not in self._wanted or digest in self._held

    def put(self, digest: str, data: memoryview) -> None:
        """See `Sink`."""
        with self.create(digest) as blob:
            blob.write(data)

    def create(self, digest: str) -> _Layer:
        """See `Sink`."""
        return _Layer(self, digest)

    def holds(self, digest: str) -> bool:
        """Whether the layer was taken."""
        return digest in self._held

    def open(self, digest: str) -> BlobFile:
        """A layer that was taken."""
        return BlobFile([self._held[digest]])


class _Layer:
    """A layer on its way in; no other one is meanwhile."""

    def __init__(self, spool: Spool, digest: str) -> None:
        self._spool, self._digest = spool, digest
        self._size = 0

    def __enter__(self) -> Self:
        self._spool._lock.acquire()
        return self

    def write(self, data: memoryview) -> None:
        """Appends `data`."""
        spool = self._spool
        if spool._end + self._size + len(data) > MAX_HELD:
            raise SpoolFull(f"more than {MAX_HELD} bytes are asked for out of sealed volumes")
        while data:
            count = os.pwrite(spool._file, data, spool._end + self._size)
            data, self._size = data[count:], self._size + count

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        spool = self._spool
        if error is None:
            spool._held[self._digest] = Extent(spool._path, spool._end, self._size)
            spool._end += self._size
        spool._lock.release()
