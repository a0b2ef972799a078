"""A volume's file while it is written: under a temporary name, and gone again if the build fails.

What it is written through hides whether it is sealed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from bundles.files import durable
from bundles.files.direct import DirectFile
from bundles.files.writeout import WriteOut


class PendingFile:
    """A file under a temporary name until `publish`; a context manager that removes it again
    unless `keep` was called. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        self._writing_out = WriteOut(lambda: os.fdatasync(self._descriptor))
        self._direct = DirectFile(self._temporary, self._descriptor, self._writing_out.wrote)
        self._published = self._kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._direct.close()
        self._writing_out.close()
        with suppress(OSError):  # what counts was synced
            os.close(self._descriptor)
        if not self._kept:
            (self.path if self._published else self._temporary).unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes of the file, once it has its end."""
        return os.fstat(self._descriptor).st_size

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Takes the next bytes of the volume; they may be used again at once."""
        self._direct.write(data)

    def end(self) -> str:
        """The volume is whole; the digest of the file. It is not durable yet."""
        return self._direct.end()

    def sync(self) -> None:
        """Makes the whole file durable."""
        self._writing_out.wait()
        os.fsync(self._descriptor)

    def publish(self) -> None:
        """Gives the file its name."""
        os.rename(self._temporary, self.path)
        self._published = True
        durable.sync_folder(self.path.parent)

    def keep(self) -> None:
        """The build succeeded: the file stays."""
        self._kept = True
