"""Profiles that follow the folder they are written in, without a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from bundles.files.document import InvalidDocument
from goosed_daemon.infra.load import Infra, files, load_good

_Stamp = tuple[tuple[str, int, int, int], ...]


class Profiles:
    """The profiles of a folder as they are now; safe to use from several threads.

    The folder is looked at no more often than every `interval` seconds of `clock`. A mistake stops
    the machines that it concerns and no others, and `error` tells of it; nothing is kept of what
    stood there before.
    """

    def __init__(
        self,
        folder: Path,
        *,
        interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.error: InvalidDocument | None = None
        self._interval, self._clock = interval, clock
        self._lock = threading.Lock()
        self._infra: Infra | None = None
        self._stamp: _Stamp | None = None
        self._next = float("-inf")

    def current(self) -> Infra:
        """The profiles, without what mistakes stop. Raises `InvalidDocument` while that may be
        anything."""
        if self._clock() >= self._next:
            with self._lock:
                if self._clock() >= self._next:
                    self._refresh()
                    self._next = self._clock() + self._interval
        if self._infra is not None:
            return self._infra
        raise (self.error or InvalidDocument(())).with_traceback(None)

    def _refresh(self) -> None:
        # Taken before reading: an edit in between is then seen the next time.
        stamp = self._look()
        if stamp == self._stamp:
            return
        try:
            self._infra = load_good(self.folder)
            self.error = self._infra.error
        except InvalidDocument as error:
            self._infra, self.error = None, error
        self._stamp = stamp

    def _look(self) -> _Stamp:
        closed: list[OSError] = []
        found = []
        for path in files(self.folder, closed.append):
            try:
                status = path.stat()
            except OSError:
                continue  # removed meanwhile; its absence is the change
            found.append((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
        found += [(str(error.filename), error.errno or 0, -1, -1) for error in closed]
        return tuple(found)
