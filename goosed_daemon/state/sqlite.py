"""The embedded state: one SQLite file in WAL mode.

Readers never wait. Writers queue on a lock within the process, which is fair and wakes at once,
and on SQLite's own lock between processes. `synchronous=FULL` makes a commit survive a power loss:
a token that was used stays used.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from goosed_daemon.errors import StateBusy, StateError
from goosed_daemon.state.protocol import Row

BUSY_SECONDS = 15.0


class SqliteState:
    """See `goosed_daemon.state.protocol.State`. The file is made at the first use."""

    dialect = "sqlite"
    skip_locked = ""  # a transaction that writes is alone

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = path
        self._busy = busy_seconds
        self._local = threading.local()
        self._writer = threading.Lock()
        self._registry = threading.Lock()
        self._connections: list[sqlite3.Connection] = []

    def __str__(self) -> str:
        return str(self.path)

    @contextmanager
    def read(self) -> Iterator[SqliteTransaction]:
        with self._transaction("BEGIN") as transaction:
            yield transaction

    @contextmanager
    def write(self, lock: str = "") -> Iterator[SqliteTransaction]:
        # One writer at a time serialises every lock there could be.
        if not self._writer.acquire(timeout=self._busy):
            raise StateBusy(f"{self.path}: other writers did not finish in {self._busy:g} s")
        try:
            with self._transaction("BEGIN IMMEDIATE") as transaction:
                yield transaction
        finally:
            self._writer.release()

    def migrating(self) -> AbstractContextManager[SqliteTransaction]:
        return self.write()

    def connections(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        with self._registry:
            connections, self._connections = self._connections, []
            self._local = threading.local()
        for connection in connections:
            connection.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[SqliteTransaction]:
        connection = self._connection()
        with self._translated():
            connection.execute(begin)
        try:
            yield SqliteTransaction(connection, self)
            with self._translated():
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            with self._translated():
                connection = self._connect()
            self._local.connection = connection
            with self._registry:
                self._connections.append(connection)
        return connection

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite would make it readable to all; its WAL files take the mode of the file. A file that
        # exists must not be opened here: to close it again drops the locks that other connections
        # of this process hold on it (https://www.sqlite.org/howtocorrupt.html, section 2.2).
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy,
            isolation_level=None,
            check_same_thread=False,
            detect_types=sqlite3.PARSE_DECLTYPES,
        )
        try:
            self._enter_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
        except BaseException:
            connection.close()
            raise
        return connection

    def _enter_wal(self, connection: sqlite3.Connection) -> None:
        """The change to WAL needs the file to itself and does not wait for the busy timeout
        (https://www.sqlite.org/wal.html, section 3.1), so two daemons that start at once retry."""
        deadline = time.monotonic() + self._busy
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if isinstance(error, sqlite3.OperationalError) and _is_busy(error):
                raise StateBusy(f"{self.path}: {error}") from error
            raise StateError(f"{self.path}: {error}") from error
        except OSError as error:
            raise StateError(f"{self.path}: {error.strerror or error}") from error


class SqliteTransaction:
    """See `goosed_daemon.state.protocol.Transaction`."""

    def __init__(self, connection: sqlite3.Connection, state: SqliteState) -> None:
        self._connection = connection
        self._state = state

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        with self._state._translated():
            values = [_to_sql(value) for value in parameters]
            return self._connection.execute(sql, values).fetchall()

    def script(self, sql: str) -> None:
        # Not executescript: it commits the transaction that it is called in.
        statement = ""
        for line in sql.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                self.execute(statement)
                statement = ""
        if statement.strip():
            self.execute(statement)


def _is_busy(error: sqlite3.OperationalError) -> bool:
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


# Times are text of one width, so that SQL compares them as it would compare times.
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


def _to_sql(value: object) -> str | int | float | bytes | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(_TIME)
    if value is None or isinstance(value, (str, int, float, bytes)):
        return value
    raise TypeError(f"no SQL type for {type(value).__name__}")


def _to_time(data: bytes) -> datetime:
    return datetime.fromisoformat(data.decode())  # many times faster than strptime


sqlite3.register_converter("timestamptz", _to_time)
sqlite3.register_converter("bool", lambda data: data == b"1")
