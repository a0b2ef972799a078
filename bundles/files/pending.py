"""A volume's file while it is written: under a temporary name, and gone again if the build fails.

What it is written through hides whether it is sealed: each byte of the volume is written once, in
any order, the end last.
"""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from bundles import digest as digests
from bundles.files import buffers, durable
from bundles.files.writeout import WriteOut
from bundles.progress import Progress

_READ_BACK = 4 * 1024 * 1024  # bytes


class PendingFile:
    """A file under a temporary name until `publish`; a context manager that removes it again
    unless `keep` was called. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self.descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        self._writing_out = WriteOut(lambda: os.fdatasync(self.descriptor))
        self._published = self._kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writing_out.close()
        with suppress(OSError):  # what counts was synced
            os.close(self.descriptor)
        if not self._kept:
            (self.path if self._published else self._temporary).unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self.descriptor).st_size

    def write(self, data: bytes | bytearray | memoryview, at: int) -> None:
        """Writes bytes of the volume, which begin `at` bytes into it."""
        self._put(data, at)

    def write_end(self, data: bytes | bytearray | memoryview, at: int) -> None:
        """As `write`, for the volume's last bytes."""
        self._put(data, at)

    def rest(self) -> None:
        """Gives back memory; little is written from now on."""

    def sync(self) -> None:
        """Makes the whole file durable."""
        self._writing_out.wait()
        os.fsync(self.descriptor)

    def digest(self, progress: Progress, stop: threading.Event) -> str:
        """The digest of the file as it stands, which is read once more for that, or up to where
        it was told to `stop`."""
        whole = hashlib.sha256()
        buffer = buffers.aligned(_READ_BACK)
        at = 0
        while not stop.is_set() and (count := os.preadv(self.descriptor, [buffer], at)):
            whole.update(buffer[:count])
            progress.advance(count)
            at += count
        return digests.PREFIX + whole.hexdigest()

    def publish(self) -> None:
        """Gives the file its name."""
        os.rename(self._temporary, self.path)
        self._published = True
        durable.sync_folder(self.path.parent)

    def keep(self) -> None:
        """The build succeeded: the file stays."""
        self._kept = True

    def _put(self, data: bytes | bytearray | memoryview, at: int) -> None:
        """Writes bytes of the file."""
        with memoryview(data) as view:
            done = 0
            while done < len(view):
                done += os.pwrite(self.descriptor, view[done:], at + done)
            self._writing_out.wrote(done)
