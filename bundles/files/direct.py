"""Writing and reading a large file past the page cache.

A page of the cache costs more than the disk does: it is found, filled, written and given back. What
is written once in long runs needs none. Where the file system has no O_DIRECT the same goes through
the cache.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from bundles.files import buffers

BLOCK = 4 * 1024 * 1024  # bytes of a write
_PAGE = 4096  # what memory, offset and length are a multiple of
_BLOCKS = 3  # in memory: one is filled, the others are on their way


_Result = TypeVar("_Result")


class DirectFile:
    """Long runs of bytes on their way into the file at `path`, open as `descriptor` too.

    Whole pages go past the cache, on a thread of their own; where a run begins and ends within a
    page, through it, so that no page takes both ways. For one thread. Raises OSError, also that of
    an earlier write.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._cached = descriptor
        try:
            self._direct = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
        except OSError:
            self._direct = os.dup(descriptor)
        self._pool = ThreadPoolExecutor(1)
        self._work: deque[Future[None]] = deque()
        self._memory: list[memoryview] = []
        self._start = self._end = 0  # of the run in memory, in the file

    def write(self, data: memoryview, at: int) -> None:
        """Takes bytes; they may be used again at once."""
        if at != self._end:
            self.flush()
            self._start = self._end = at
        done = 0
        while done < len(data):
            if not self._memory:
                self._memory = [buffers.aligned(BLOCK) for _ in range(_BLOCKS)]
            offset = self._end % BLOCK
            count = min(len(data) - done, BLOCK - offset)
            self._memory[0][offset : offset + count] = data[done : done + count]
            done += count
            self._end += count
            if self._end % BLOCK == 0:
                self._hand_over()

    def flush(self) -> None:
        """Hands over what is in memory, waits until all is written, and gives the memory back."""
        if self._end > self._start:
            self._hand_over()
        while self._work:
            self._work.popleft().result()
        self._memory = []

    def close(self) -> None:
        """Ends the thread."""
        self._pool.shutdown()
        os.close(self._direct)

    def pieces(self) -> Iterator[memoryview]:
        """The whole file, one piece read while the one before it is used."""
        self.flush()
        memory = [buffers.aligned(BLOCK) for _ in range(2)]
        ahead = self._pool.submit(self._read, memory[0], 0)
        at = 0
        try:
            while piece := ahead.result():
                at += BLOCK
                if len(piece) == BLOCK:
                    ahead = self._pool.submit(self._read, memory[at // BLOCK % 2], at)
                    yield piece
                else:
                    yield piece
                    return
        finally:
            ahead.exception()

    def _read(self, memory: memoryview, at: int) -> memoryview:
        count = 0
        # A read past the cache may end only where a page does, or the file.
        while count < BLOCK and count % _PAGE == 0:
            more = self._or_cached(partial(_read_into, memory[count:], at + count))
            if not more:
                break
            count += more
        return memory[:count]

    def _hand_over(self) -> None:
        memory, start, end = self._memory.pop(0), self._start, self._end
        base = (end - 1) // BLOCK * BLOCK
        self._memory.append(memory)
        self._work.append(self._pool.submit(self._put, memory, base, start, end))
        if len(self._work) == _BLOCKS:
            self._work.popleft().result()
        self._start = self._end

    def _put(self, memory: memoryview, base: int, start: int, end: int) -> None:
        first, last = -(-start // _PAGE) * _PAGE, end // _PAGE * _PAGE
        if first >= last:
            self._all(self._cached, memory[start - base : end - base], start)
            return
        self._all(self._cached, memory[start - base : first - base], start)
        middle = memory[first - base : last - base]
        self._or_cached(lambda descriptor: self._all(descriptor, middle, first))
        self._all(self._cached, memory[last - base : end - base], last)

    def _or_cached(self, use: Callable[[int], _Result]) -> _Result:
        """Past the cache, or through it where the disk wants other places than pages."""
        try:
            return use(self._direct)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return use(self._cached)

    def _all(self, descriptor: int, view: memoryview, at: int) -> None:
        while view:
            count = os.pwrite(descriptor, view, at)
            view, at = view[count:], at + count


def _read_into(memory: memoryview, at: int, descriptor: int) -> int:
    return os.preadv(descriptor, [memory], at)
