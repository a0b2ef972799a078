"""Uploads that go on in the background, side by side, in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_THREADS = 8
_WAITING = 64 * 1024 * 1024  # bytes


class Uploads:
    """Runs uploads on threads. The first that fails ends the import: its error is raised by the
    next call, and what is still waiting is not begun."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, "s3-upload")
        self._changed = threading.Condition()
        self._bytes = 0
        self._count = 0
        self._failure: BaseException | None = None

    def submit(self, size: int, upload: Callable[[], None]) -> None:
        """Has `upload`, which holds `size` bytes, done; waits while there are too many bytes."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._failure or not self._count or self._bytes + size <= _WAITING
            )
            self._raise()
            self._bytes += size
            self._count += 1
        self._pool.submit(self._run, size, upload)

    def drain(self) -> None:
        """Waits until all are done."""
        with self._changed:
            self._changed.wait_for(lambda: not self._count)
            self._raise()

    def close(self) -> None:
        """Lets what was taken come to its end, unless one failed."""
        self._pool.shutdown()

    def _run(self, size: int, upload: Callable[[], None]) -> None:
        try:
            if self._failure is None:
                upload()
        except BaseException as error:  # whatever it is, the import must not go on
            with self._changed:
                self._failure = self._failure or error
        finally:
            with self._changed:
                self._bytes -= size
                self._count -= 1
                self._changed.notify_all()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure
