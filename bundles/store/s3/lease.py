"""The lock of an S3 store: an object that its holder keeps renewing.

S3 has no locks that end with their holder. So the lock tells who holds it and is written anew every
third of its term; one that was not renewed for a whole term, by the server's own clock, is nobody's
any more. A holder on this machine whose process is gone is found at once.

On a server with conditional writes (RFC 9110, section 13.1: If-Match, If-None-Match) two can never
take the lock together. Where the server ignores the conditions, which is found out each time, the
lock is read back after a pause: docs/adr/0007-s3-store.md says what that leaves open.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Self

from bundles.store.errors import StoreBusy, StoreError
from bundles.store.s3.wire import Found, Precondition, Wire

KEY = "lock"
TERM = 60.0  # seconds
SETTLE = 2.0  # seconds until a lock is read back where conditions are ignored
_held: set[object] = set()  # the nonces of this process's own locks
_NO_ETAG = '"00000000000000000000000000000000"'


class Lease:
    """Holds the store until it is closed; a context manager. `task` tells whoever comes meanwhile
    what is at work. Raises `StoreBusy`.
    """

    def __init__(
        self,
        wire: Wire,
        task: str,
        term: float = TERM,
        settle: float = SETTLE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._wire, self._term, self._clock = wire, term, clock
        self._me = _this_process() | {
            "task": task,
            "nonce": secrets.token_hex(16),
            "term": term,
        }
        self._renewals = 0
        self._lost: str | None = None
        self._renewed = clock()
        _held.add(self._me["nonce"])
        try:
            self._take()
            self.conditional = self._honours_conditions()
            if not self.conditional:
                sleep(settle)
                found = wire.get(KEY)
                if found is None or not self._is_mine(found):
                    raise self._busy(found)
        except BaseException:
            _held.discard(self._me["nonce"])
            raise
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_on, name="lease", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the store. Should that fail, the lock ends by itself."""
        self._stop.set()
        self._thread.join()
        _held.discard(self._me["nonce"])
        if self._lost is None:
            try:
                found = self._wire.get(KEY)
                if found is not None and self._is_mine(found):
                    self._wire.delete(KEY)
            except StoreError:
                pass

    def check(self) -> None:
        """Raises `StoreBusy` when the lock was lost, or may have been: it could not be renewed."""
        if self._lost is None and self._clock() - self._renewed >= self._term:
            self._lost = f"it could not be renewed for {self._term:.0f} seconds"
        if self._lost is not None:
            raise StoreBusy(f"{self._wire.address}: the lock was lost: {self._lost}")

    def _take(self) -> None:
        found = self._wire.get(KEY)
        condition = {"If-None-Match": "*"}
        if found is not None:
            if not _is_stale(found):
                raise self._busy(found)
            condition = {"If-Match": found.etag}
        self._write(condition)

    def _write(self, condition: dict[str, str]) -> None:
        """Writes the lock if it is still as it was. Raises `StoreBusy`."""
        began = self._clock()
        self._renewals += 1
        # The count makes each renewal another object: an ETag that was read tells of one moment.
        data = json.dumps(self._me | {"renewals": self._renewals}).encode()
        try:
            self._etag = self._wire.put(KEY, data, condition)
        except Precondition:
            found = self._wire.get(KEY)  # a request may be carried out and its answer lost
            if found is None or not self._is_mine(found):
                raise self._busy(found) from None
            self._etag = found.etag
        self._renewed = began

    def _honours_conditions(self) -> bool:
        """Whether the server refuses what does not meet a condition; the lock is ours to try on."""
        honoured = True
        for condition in ({"If-None-Match": "*"}, {"If-Match": _NO_ETAG}):
            try:
                self._etag = self._wire.put(KEY, json.dumps(self._me).encode(), condition)
                honoured = False
            except Precondition:
                pass
        return honoured

    def _renew_on(self) -> None:
        while not self._stop.wait(self._term / 3):
            try:
                self._write({"If-Match": self._etag})
            except StoreBusy as error:
                self._lost = error.message
                return
            except StoreError:
                continue  # `check` counts the seconds

    def _is_mine(self, found: Found) -> bool:
        return _said(found).get("nonce") == self._me["nonce"]

    def _busy(self, found: Found | None) -> StoreBusy:
        said = _said(found) if found else {}
        task, pid, host = (said.get(key, "unknown") for key in ("task", "pid", "host"))
        return StoreBusy(
            f"{self._wire.address} is being written by {task}, process {pid} on {host}",
            hint="wait until it is done, then run the command again; the lock of a process that"
            f" was killed ends {said.get('term', self._term):.0f} seconds after its last sign",
        )


def _is_stale(found: Found) -> bool:
    """Whether the holder of a lock is gone."""
    said = _said(found)
    here = _this_process()
    if said.get("space") == here["space"]:
        if said.get("started") != _started(said.get("pid")):
            return True
        if said.get("pid") == here["pid"] and said.get("nonce") not in _held:
            return True  # it could not be removed: the service was away
    try:
        now = parsedate_to_datetime(found.headers["Date"])
        written = parsedate_to_datetime(found.headers["Last-Modified"])
    except (KeyError, ValueError):
        return False
    # Both times are whole seconds.
    return (now - written).total_seconds() > float(said.get("term", TERM)) + 1


def _said(found: Found) -> dict[str, Any]:
    try:
        said = json.loads(found.data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _this_process() -> dict[str, object]:
    pid = os.getpid()
    return {"host": socket.gethostname(), "space": _space(), "pid": pid, "started": _started(pid)}


def _space() -> str:
    """Names what process ids are unique in: this boot of this machine, and the namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"


def _started(pid: object) -> int | None:
    """When a process began, in ticks since the boot (proc(5), /proc/PID/stat, field 22)."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None
