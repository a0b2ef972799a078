"""What the core asks of a state database, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = tuple[Any, ...]


class Transaction(Protocol):
    """Statements that take effect together or not at all.

    SQL is written once for all backends: parameters are `?`, times are aware datetimes in UTC,
    and rows come back with `datetime` for timestamptz, `bool` for bool and `str` for uuid.
    """

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Runs one statement and gives its rows. Raises `StateError`."""

    def script(self, sql: str) -> None:
        """Runs the statements of a migration. Raises `StateError`."""


class State(Protocol):
    """A state database. Safe to use from several threads; each method may block.

    A transaction commits when its block ends and is undone when the block raises. All methods
    raise `StateBusy` when other writers do not let go in time, and `StateError` when the
    database fails.
    """

    dialect: str  # names the folder of its migrations
    #: Ends a `select` of rows that are to be changed: rows that another transaction holds are
    #: passed over, and those found are held until this one ends.
    skip_locked: str

    def read(self) -> AbstractContextManager[Transaction]:
        """A consistent view of what is committed."""

    def write(self, lock: str = "") -> AbstractContextManager[Transaction]:
        """A transaction that may change things.

        Transactions naming the same `lock` (such as a MAC) run one after the other, across all
        processes; an empty name locks nothing more than the backend itself does.
        """

    def migrating(self) -> AbstractContextManager[Transaction]:
        """A transaction that only one process at a time can be in, for migrations."""

    def connections(self) -> Mapping[str, int]:
        """How many connections there are to a server: `open`, `idle` among them, and `wanted` by
        threads that wait for one. Nothing where there is no server."""

    def close(self) -> None:
        """Ends all connections."""
