"""Writing a large file front to back, past the page cache, and hashing it on the way.

A page of the cache costs more than the disk does: it is found, filled, written and given back. What
is written once in long runs needs none. Where the file system has no O_DIRECT the same goes through
the cache.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from bundles import digest as digests
from bundles.files import buffers

BLOCK = 4 * 1024 * 1024  # bytes of a write
_PAGE = 4096  # what memory, offset and length are a multiple of
_BLOCKS = 3  # in memory: one is filled, the others are on their way


class DirectFile:
    """Bytes on their way into the empty file at `path`, open as `descriptor` too.

    Whole pages go past the cache; where the file ends within a page, through it. One thread writes
    a block while another hashes it. `wrote` is told of how many bytes more were written. For one
    thread; a context manager. Raises OSError, also that of an earlier write.
    """

    def __init__(self, path: Path, descriptor: int, wrote: Callable[[int], None]) -> None:
        self._cached, self._wrote = descriptor, wrote
        try:
            self._direct = os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
        except OSError:
            self._direct = os.dup(descriptor)
        self._writer, self._hasher = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._work = deque[tuple[Future[None], Future[None], memoryview]]()
        self._memory: list[memoryview] = []  # the block in hand comes first
        self._hash = hashlib.sha256()
        self._size = 0  # of all that was taken

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Takes the next bytes; they may be used again at once."""
        with memoryview(data) as view:
            done = 0
            while done < len(view):
                if not self._memory:
                    self._memory = [buffers.aligned(BLOCK) for _ in range(_BLOCKS)]
                offset = self._size % BLOCK
                count = min(len(view) - done, BLOCK - offset)
                self._memory[0][offset : offset + count] = view[done : done + count]
                done += count
                self._size += count
                if self._size % BLOCK == 0:
                    self._hand_over(BLOCK)

    def end(self) -> str:
        """Waits until all is written, gives the memory back; the digest of the file."""
        if rest := self._size % BLOCK:
            self._hand_over(rest)
        while self._work:
            self._reclaim()
        self._memory = []
        return digests.PREFIX + self._hash.hexdigest()

    def close(self) -> None:
        """Ends the threads."""
        self._writer.shutdown()
        self._hasher.shutdown()
        os.close(self._direct)

    def _hand_over(self, count: int) -> None:
        block = self._memory.pop(0)
        data, at = block[:count], (self._size - 1) // BLOCK * BLOCK
        written = self._writer.submit(self._put, data, at)
        self._work.append((written, self._hasher.submit(self._hash.update, data), block))
        if not self._memory:
            self._reclaim()

    def _reclaim(self) -> None:
        written, hashed, block = self._work.popleft()
        hashed.result()
        written.result()
        self._memory.append(block)

    def _put(self, data: memoryview, at: int) -> None:
        whole = len(data) // _PAGE * _PAGE
        try:
            _all(self._direct, data[:whole], at)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            _all(self._cached, data[:whole], at)  # the disk wants other places than pages
        _all(self._cached, data[whole:], at + whole)
        self._wrote(len(data))


def _all(descriptor: int, view: memoryview, at: int) -> None:
    while view:
        count = os.pwrite(descriptor, view, at)
        view, at = view[count:], at + count
