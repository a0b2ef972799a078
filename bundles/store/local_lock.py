"""The lock of a local store, and the switch of its refs, which is made under it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from bundles import layout
from bundles.store import durable, refs
from bundles.store.errors import StoreBusy, translated
from bundles.store.protocol import Refs

PREVIOUS = "index.json.previous"


class LocalLock:
    """Holds the store in `folder` until it is closed; the folder is made where there is none.

    The kernel lets go of it when its process ends, however it ends. Raises `StoreBusy`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with translated(str(folder)):
            (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            with translated(str(folder)):
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise StoreBusy(f"{folder} is being written by another process") from error
                if not (folder / "oci-layout").exists():
                    durable.replace_file(folder / "index.json", refs.encode(Refs()))
                    durable.replace_file(folder / "oci-layout", layout.OCI_LAYOUT)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Lets go of the store."""
        os.close(self._file)

    def sync(self) -> None:
        """Makes all that was written to the store's file system durable."""
        durable.sync_filesystem(self._file)

    def switch(self, old: Refs, change: Callable[[Refs], Refs]) -> Refs:
        """Replaces the refs, which are `old`, by what `change` makes of them."""
        new = change(old)
        if new != old:
            index = self._folder / "index.json"
            with translated(str(self._folder)):
                durable.replace_file(index.with_name(PREVIOUS), refs.encode(old))
                durable.replace_file(index, refs.encode(new))
        return new
