"""What a daemon sees of machines in passing: a script sent, a ramdisk fetched, a disk booted.

Nothing depends on it, so it waits in bounded memory and is written many at a time. What is lost
when a daemon is killed was not seen, and a workflow passes over it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime

from goosed_daemon.state.protocol import State
from goosed_daemon.state.sql import is_uuid
from goosed_daemon.workflow import steps as s

LIMIT = 10_000  # sightings that wait; more are dropped
_BY_ID = (
    "insert into observations (workflow, token, step, at, detail)"
    " select w.id, cast(t.id as text), ?, ?, '{}' from tokens t join workflows w on w.mac = t.mac"
    " where t.id = ? and w.current and w.state <> 'ready'"
)
# A machine that boots its disk shows no token: it is the one that installed it.
_BY_MAC = (
    "insert into observations (workflow, token, step, at, detail)"
    " select w.id, cast(t.id as text), ?, ?, '{}' from workflows w join tokens t on t.id ="
    " (select id from tokens where mac = w.mac and used order by issued_at desc limit 1)"
    " where w.mac = ? and w.current and w.state <> 'ready' and t.issued_at >= w.began_at"
)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A machine was seen at `step`; told apart by its boot token's id, or by its MAC."""

    step: str
    at: datetime
    token: str = ""
    mac: str = ""


class Sightings:
    """Thread-safe."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str, str], Sighting] = {}

    def script_served(self, token: str, at: datetime) -> None:
        """The boot script with this token was sent."""
        self._add(Sighting(s.SCRIPT_SERVED, at, token=token))

    def fetched(self, token: str, at: datetime) -> None:
        """The last file that the script names was sent. `token` comes from outside."""
        if is_uuid(token):
            self._add(Sighting(s.FETCHED, at, token=token))

    def disk_booted(self, mac: str, at: datetime) -> None:
        """An installed machine asked for its script and was told to boot its disk."""
        self._add(Sighting(s.FIRST_BOOT, at, mac=mac))

    def write(self, state: State) -> int:
        """Hands what was seen to the orchestrators; gives how much. What cannot be written waits
        on. Raises `StateError`."""
        with self._lock:
            taken, self._waiting = self._waiting, {}
        if not taken:
            return 0
        try:
            with state.write() as transaction:
                for seen in taken.values():
                    sql, key = (_BY_ID, seen.token) if seen.token else (_BY_MAC, seen.mac)
                    transaction.execute(sql, (seen.step, seen.at, key))
        except BaseException:
            with self._lock:
                self._waiting = taken | self._waiting
            raise
        return len(taken)

    def _add(self, seen: Sighting) -> None:
        key = (seen.step, seen.token, seen.mac)
        with self._lock:
            if len(self._waiting) < self._limit:
                self._waiting.setdefault(key, seen)
