"""The shared state: PostgreSQL through psycopg 3, one pool of connections per process.

Transactions run at read committed, PostgreSQL's default; what must not interleave names a lock,
which is an advisory lock that ends with its transaction (PostgreSQL documentation, section
13.3.5, "Advisory Locks"). Connections are tried before they are given out, so that a server that
was restarted is found again by itself.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.string import TextLoader
from psycopg_pool import ConnectionPool, PoolTimeout

from goosed_daemon.errors import StateBusy, StateError
from goosed_daemon.state.outage import Outage
from goosed_daemon.state.protocol import Row

log = logging.getLogger("goosed.state")

_Pool = ConnectionPool[psycopg.Connection[Row]]

BUSY_SECONDS = 15.0
MAX_CONNECTIONS = 10
_SLICE = 1.0  # seconds to wait for a connection before it is asked whether the server is there
_PROBE_SECONDS = 5
# PostgreSQL documentation, section 34.1.2: without these a server whose network is cut is waited
# for as long as the kernel likes, a quarter of an hour.
_PATIENCE = {"connect_timeout": 5, "tcp_user_timeout": 15_000, "keepalives_idle": 15}
IDLE_SECONDS = 60  # after which the server ends a transaction whose process hangs
_BUSY = (
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.SerializationFailure,
    PoolTimeout,
)


class PostgresState:
    """See `goosed_daemon.state.protocol.State`. Connects at the first use.

    `dsn` is a libpq connection string or URI; its password is never told.
    """

    dialect = "postgres"
    skip_locked = " for update skip locked"

    def __init__(self, dsn: str, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self._dsn = dsn
        self._busy = busy_seconds
        self._guard = threading.Lock()
        self._pool: _Pool | None = None
        self._outage = Outage()

    def __str__(self) -> str:
        parts = conninfo_to_dict(self._dsn)
        where = parts.get("host") or parts.get("hostaddr") or "the local socket"
        return f"PostgreSQL {parts.get('dbname') or 'database'} at {where}"

    @contextmanager
    def read(self) -> Iterator[PostgresTransaction]:
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as transaction:
            yield transaction

    @contextmanager
    def write(self, lock: str = "") -> Iterator[PostgresTransaction]:
        begin = f"BEGIN; SET LOCAL lock_timeout = '{int(self._busy * 1000)}ms'"
        if lock:
            begin += f"; SELECT pg_advisory_xact_lock({_lock_number(lock)})"
        with self._transaction(begin) as transaction:
            yield transaction

    def migrating(self) -> AbstractContextManager[PostgresTransaction]:
        return self.write("goose migrations")

    def connections(self) -> dict[str, int]:
        pool = self._pool
        told = pool.get_stats() if pool is not None else {}
        names = {"open": "pool_size", "idle": "pool_available", "wanted": "requests_waiting"}
        return {state: told.get(name, 0) for state, name in names.items()}

    def close(self) -> None:
        with self._guard:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[PostgresTransaction]:
        with self._connection() as connection:
            try:
                with self._translated():
                    connection.execute(begin)
                yield PostgresTransaction(connection, self)
                with self._translated():
                    connection.execute("COMMIT")
            except BaseException:
                _undo(connection)
                raise

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Row]]:
        """A connection that is the caller's until the block ends."""
        if (why := self._outage.refusal()) is not None:
            raise StateError(why)
        try:
            with self._translated():
                pool, connection = self._got()
        except BaseException:
            self._outage.gave_up()
            raise
        if self._outage.over():
            log.info("%s answers again", self)
        try:
            yield connection
        finally:
            pool.putconn(connection)

    def _got(self) -> tuple[_Pool, psycopg.Connection[Row]]:
        """A connection of the pool. A server that is away is found out in a moment, and not after
        every caller's own time-out. Raises psycopg's errors."""
        deadline = time.monotonic() + self._busy
        while True:
            try:
                if self._pool is None:
                    self._probe()  # which tells what keeps a connection from being made
                pool = self._opened()
                left = deadline - time.monotonic()
                return pool, pool.getconn(max(0.0, min(left, _SLICE)))
            except PoolTimeout:
                # All connections are busy, or the server is away: it alone can tell.
                self._probe()
                if time.monotonic() >= deadline:
                    raise

    def _probe(self) -> None:
        """Raises psycopg's error, and begins an outage, when the server does not answer."""
        try:
            psycopg.connect(self._dsn, connect_timeout=_PROBE_SECONDS).close()
        except psycopg.OperationalError as error:
            if "too many clients" in str(error) or "connection slots" in str(error):
                return  # it answers, and is busy
            self._away(error)
            raise

    def _away(self, error: psycopg.Error) -> None:
        """The pool of a server that was away tries again ever more rarely, for minutes at last: a
        new one is opened when the server answers."""
        self._outage.begin(f"{self}: {_first_line(error)}")
        with self._guard:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(timeout=0)

    def _patience(self) -> dict[str, int]:
        """How long a connection may be dead before it counts as that, unless the DSN says so."""
        given = conninfo_to_dict(self._dsn)
        return {name: value for name, value in _PATIENCE.items() if name not in given}

    def _opened(self) -> _Pool:
        with self._guard:
            if self._pool is None:
                self._pool = ConnectionPool(
                    self._dsn,
                    min_size=1,
                    max_size=MAX_CONNECTIONS,
                    timeout=self._busy,
                    kwargs={"autocommit": True} | self._patience(),
                    configure=_configure,
                    check=ConnectionPool.check_connection,
                    name="goose-state",
                    open=True,
                )
            return self._pool

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except _BUSY as error:
            raise StateBusy(f"{self}: {_first_line(error)}") from error
        except psycopg.Error as error:
            raise StateError(f"{self}: {_first_line(error)}") from error


class PostgresTransaction:
    """See `goosed_daemon.state.protocol.Transaction`."""

    def __init__(self, connection: psycopg.Connection[Row], state: PostgresState) -> None:
        self._connection = connection
        self._state = state

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        with self._state._translated():
            if parameters:
                sql = sql.replace("%", "%%").replace("?", "%s")
            cursor = self._connection.execute(sql.encode(), parameters or None)
            return cursor.fetchall() if cursor.description is not None else []

    def script(self, sql: str) -> None:
        with self._state._translated():
            self._connection.execute(sql.encode())


def _configure(connection: psycopg.Connection[Any]) -> None:
    connection.adapters.register_loader("uuid", TextLoader)
    connection.execute("SET timezone = 'UTC'")
    connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")


def _undo(connection: psycopg.Connection[Row]) -> None:
    """Rolls back; a connection that is lost is undone by its server, and the pool drops it."""
    try:
        connection.execute("ROLLBACK")
    except psycopg.Error:
        connection.close()


def _lock_number(name: str) -> int:
    """The 64-bit number that stands for a lock's name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
