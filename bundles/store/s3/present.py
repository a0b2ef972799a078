"""Which blobs an S3 store has, learnt by listing as much of it as is asked about."""

from __future__ import annotations

import threading
from itertools import islice

from bundles import digest as digests
from bundles.store.s3.keys import BLOBS, digest_of
from bundles.store.s3.wire import Wire

_SMALL = 10_000  # blobs; a larger store is listed piece by piece
_PIECES = 2  # hexadecimal digits that name a piece: 256 of them


class Present:
    """Sizes of blobs that are there or on their way. Safe to use from several threads.

    A request for each blob of a bundle would take longer than a listing of the store, and a listing
    of a store of millions longer than what a small bundle asks about.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._sizes: dict[str, int] = {}
        self._pieces: set[str] | None = None  # that were listed; None: nothing was yet
        self._whole = False
        self._lock = threading.Lock()

    def size(self, digest: str) -> int | None:
        """The size of a blob in bytes; None when it is not there."""
        if digest not in self._sizes and not self._whole:
            with self._lock:
                self._learn(digests.hex_of(digest)[:_PIECES])
        return self._sizes.get(digest)

    def add(self, digest: str, size: int) -> None:
        """A blob is on its way."""
        self._sizes[digest] = size

    def _learn(self, piece: str) -> None:
        if self._pieces is None:
            self._pieces = set()
            self._whole = self._list(BLOBS, _SMALL) < _SMALL
        if not self._whole and piece not in self._pieces:
            self._list(BLOBS + piece, None)
            self._pieces.add(piece)

    def _list(self, prefix: str, limit: int | None) -> int:
        count = 0
        for found in islice(self._wire.list(prefix), limit):
            self._sizes.setdefault(digest_of(found.key), found.size)
            count += 1
        return count
