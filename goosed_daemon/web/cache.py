"""Small content in memory, by digest: bounded, the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict

SMALL = 64 * 1024  # bytes; larger files go out by sendfile


class SmallContent:
    """A cache of at most `limit` bytes. Not thread-safe: the event loop owns it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._entries: OrderedDict[str, bytes] = OrderedDict()

    def get(self, digest: str) -> bytes | None:
        """The content, if it is here."""
        data = self._entries.get(digest)
        if data is not None:
            self._entries.move_to_end(digest)
        return data

    def put(self, digest: str, data: bytes) -> None:
        """Keeps `data`, unless it alone is larger than the cache."""
        if len(data) > self._limit or digest in self._entries:
            return
        self._entries[digest] = data
        self._held += len(data)
        while self._held > self._limit:
            self._held -= len(self._entries.popitem(last=False)[1])
