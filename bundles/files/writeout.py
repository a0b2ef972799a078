"""Setting the disk to work while more is written.

Left alone, the kernel gathers gigabytes in memory before it writes any, and the sync at the end is
one long wait of which nobody can tell how far it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

EVERY = 256 * 1024 * 1024  # bytes written between two syncs


class WriteOut:
    """Calls `sync` on a thread of its own whenever `every` more bytes were written and the call
    before has returned. Threads may share it. `sync` raises OSError."""

    def __init__(self, sync: Callable[[], None], every: int = EVERY) -> None:
        self._sync, self._every = sync, every
        self._pool = ThreadPoolExecutor(1)
        self._lock = threading.Lock()
        self._work: Future[None] | None = None
        self._bytes = 0

    def wrote(self, count: int) -> None:
        """`count` more bytes were written. Raises what `sync` raised."""
        with self._lock:
            self._bytes += count
            if self._bytes < self._every or (self._work and not self._work.done()):
                return
            if self._work:
                self._work.result()
            self._bytes = 0
            self._work = self._pool.submit(self._sync)

    def wait(self) -> None:
        """Returns when no call is under way. Raises what `sync` raised."""
        if self._work:
            self._work.result()

    def close(self) -> None:
        """Waits, and ends the thread, whatever `sync` raised."""
        self._pool.shutdown()
