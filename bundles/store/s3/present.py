"""Which blobs an S3 store has, learnt by listing as much of it as is asked about."""

from __future__ import annotations

import threading

from bundles import digest as digests
from bundles.store.s3.keys import BLOBS, digest_of
from bundles.store.s3.wire import Wire

_DIGITS = 2  # hexadecimal, that name a piece of the store: one of 256
_PIECES = 16  # listed one by one; whoever asks about more gets the whole listed


class Present:
    """Sizes of blobs that are there or on their way. Safe to use from several threads.

    A request for each blob of a large bundle would take longer than listing the store, a thousand
    at a time; and a small bundle need not wait for the listing of a store of millions.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._sizes: dict[str, int] = {}
        self._pieces: set[str] = set()  # that were listed
        self._whole = False
        self._lock = threading.Lock()

    def size(self, digest: str) -> int | None:
        """The size of a blob in bytes; None when it is not there."""
        if digest not in self._sizes and not self._whole:
            with self._lock:
                self._learn(digests.hex_of(digest)[:_DIGITS])
        return self._sizes.get(digest)

    def add(self, digest: str, size: int) -> None:
        """A blob is on its way."""
        self._sizes[digest] = size

    def _learn(self, piece: str) -> None:
        if self._whole or piece in self._pieces:
            return
        whole = len(self._pieces) >= _PIECES
        for found in self._wire.list(BLOBS if whole else BLOBS + piece):
            self._sizes.setdefault(digest_of(found.key), found.size)
        self._pieces.add(piece)
        self._whole = whole
