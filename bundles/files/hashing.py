"""A file that is hashed while somebody else reads it, so that nothing is read twice."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from io import BufferedReader
from types import TracebackType
from typing import Self

from bundles import digest as digests

_PIECE = 1024 * 1024  # bytes that go to the hashing thread at once
_AHEAD = 8  # pieces


class HashedFile:
    """Reads through to `file`, front to back; a context manager.

    The hash is computed on a thread of its own, a bounded number of pieces behind.
    """

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._pool = ThreadPoolExecutor(1)
        self._work: deque[Future[None]] = deque()
        self._held: list[bytes] = []
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def read(self, count: int = -1, /) -> bytes:
        """As the file's own."""
        return self._noted(self._file.read(count))

    def read1(self, count: int = -1, /) -> bytes:
        """As the file's own."""
        return self._noted(self._file.read1(count))

    def readline(self, limit: int = -1, /) -> bytes:
        """As the file's own."""
        return self._noted(self._file.readline(limit))

    def _noted(self, data: bytes) -> bytes:
        self._held.append(data)
        self._size += len(data)
        if self._size >= _PIECE:
            self._hand_over()
        return data

    def digest(self) -> str:
        """The digest of the whole file; reads what nobody read."""
        while self.read(_PIECE):
            pass
        self._hand_over()
        while self._work:
            self._work.popleft().result()
        return digests.PREFIX + self._hash.hexdigest()

    def _hand_over(self) -> None:
        pieces, self._held, self._size = self._held, [], 0
        self._work.append(self._pool.submit(self._update, pieces))
        if len(self._work) > _AHEAD:
            self._work.popleft().result()

    def _update(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._hash.update(piece)
