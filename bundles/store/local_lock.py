"""The lock of a local store, and the switch of its refs, which is made under it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bundles.files import durable
from bundles.format import layout
from bundles.store import refs
from bundles.store.errors import StoreBusy, translated
from bundles.store.protocol import Refs

INDEX = "index.json"
PREVIOUS = "index.json.previous"
_TASK = 200  # bytes of the lock file that are read at most


class LocalLock:
    """Holds the store in `folder` until it is closed; the folder is made where there is none.

    The kernel lets go of it when its process ends, however it ends. `task` tells whoever comes
    meanwhile what is at work. Raises `StoreBusy`.
    """

    def __init__(self, folder: Path, task: str) -> None:
        self._folder = folder
        with translated(str(folder)):
            (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            with translated(str(folder)):
                self._take(task)
                # What a holder that was killed made here is seen by all, and so has to be durable
                # before anyone builds on it or calls it done.
                durable.sync_folder(folder)
                durable.sweep(folder)
                if not _is_there(folder / "oci-layout"):
                    if not _is_there(folder / INDEX):
                        durable.replace_file(folder / INDEX, refs.encode(Refs()))
                    durable.replace_file(folder / "oci-layout", layout.OCI_LAYOUT)
        except BaseException:
            self.close()
            raise

    def _take(self, task: str) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            said = os.pread(self._file, _TASK, 0).decode("ascii", "replace").strip()
            at_work = said or "another process"
            raise StoreBusy(f"{self._folder} is being written by {at_work}") from error
        with suppress(OSError):  # a full disk must not keep a clean-up from freeing it
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{task}, process {os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Lets go of the store."""
        with suppress(OSError):  # what had to be durable is
            os.close(self._file)

    def sync(self) -> None:
        """Makes all that was written to the store's file system durable."""
        durable.sync_filesystem(self._file)

    def switch(self, old: Refs, change: Callable[[Refs], Refs]) -> Refs:
        """Replaces the refs, which are `old`, by what `change` makes of them."""
        new = change(old)
        if new != old:
            with translated(str(self._folder)):
                durable.replace_file(self._folder / PREVIOUS, refs.encode(old))
                durable.replace_file(self._folder / INDEX, refs.encode(new))
        return new

    def settle(self, now: Refs) -> None:
        """Makes the previous refs those of now, which are `now`."""
        with translated(str(self._folder)):
            durable.replace_file(self._folder / PREVIOUS, refs.encode(now))


def _is_there(path: Path) -> bool:
    """Whether a file exists. Raises OSError where that cannot be told: what is only unreadable
    must not be made anew."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True
