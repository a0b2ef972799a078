"""The state backends that the conformance tests run over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from goosed_daemon.state import State
from goosed_daemon.state.postgres import PostgresState
from goosed_daemon.state.sqlite import SqliteState
from tests.daemon.postgres import database

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MAC = "52:54:00:12:34:56"
OTHER = "52:54:00:12:34:57"
KEY = bytes(range(32))
TTL = timedelta(minutes=30)


def sqlite(folder: Path) -> State:
    """The SQLite state in `folder`; the same one from every process."""
    return SqliteState(folder / "state.db")


def postgres(folder: Path) -> State:
    """The PostgreSQL state of `folder`; the same one from every process."""
    return PostgresState(database(folder))


BACKENDS: dict[str, Callable[[Path], State]] = {"sqlite": sqlite, "postgres": postgres}
