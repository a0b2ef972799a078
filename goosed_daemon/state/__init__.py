"""What a site remembers: machines, tokens and the audit log."""

from __future__ import annotations

from datetime import datetime

from goosed_daemon.home import Home
from goosed_daemon.state.migrate import migrate
from goosed_daemon.state.protocol import Row, State, Transaction
from goosed_daemon.state.sqlite import SqliteState

__all__ = ["EMBEDDED", "Row", "State", "Transaction", "connect", "open_state"]

EMBEDDED = SqliteState.dialect  # of the state that `connect` makes where there is none


def connect(home: Home, dsn: str | None = None) -> State:
    """The site's state as it is, whichever version wrote it: at `dsn`, or else in its folder."""
    if dsn is None:
        return SqliteState(home.state)
    from goosed_daemon.state.postgres import PostgresState

    return PostgresState(dsn)


def open_state(home: Home, dsn: str | None, now: datetime) -> State:
    """The site's state, migrated to this version. Raises `StateError` and its kinds."""
    state = connect(home, dsn)
    try:
        migrate(state, now)
    except BaseException:
        state.close()
        raise
    return state
