"""Brings a state database to this version: numbered SQL files, each applied once.

Every migration runs in one transaction together with the row that records it, and only one
process at a time can be in it. So a process killed at any point leaves a whole number of
migrations behind, and of several daemons that start at once one migrates while the others wait.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from importlib import resources

from goosed_daemon.errors import MigrationError, StateTooNew
from goosed_daemon.state.protocol import State, Transaction

_NAME = re.compile(r"([0-9]{4})_([a-z0-9_]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of migrations/DIALECT/."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.number:04}_{self.name}"


@dataclass(frozen=True, slots=True)
class Step:
    """A migration and when it was applied; None while it is pending."""

    migration: Migration
    applied_at: datetime | None


def migrations(dialect: str) -> tuple[Migration, ...]:
    """The migrations that this version knows, in order."""
    folder = resources.files("goosed_daemon.state") / "migrations" / dialect
    named = ((file, _NAME.fullmatch(file.name)) for file in folder.iterdir())
    found = [
        Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
        for file, match in named
        if match is not None
    ]
    return tuple(sorted(found, key=lambda migration: migration.number))


def migrate(state: State, now: datetime, known: tuple[Migration, ...] | None = None) -> list[str]:
    """Applies what is pending and names it. `known` is for tests.

    Raises `MigrationError` when an applied migration was changed since or a new one fails, and
    `StateTooNew` when the database has migrations that this version does not know.
    """
    known = migrations(state.dialect) if known is None else known
    done: list[str] = []
    while True:
        with state.migrating() as transaction:
            steps = _steps(transaction, known)
            pending = next((step.migration for step in steps if step.applied_at is None), None)
            if pending is None:
                return done
            transaction.script(pending.sql)
            transaction.execute(
                "insert into schema_migrations (number, name, checksum, applied_at)"
                " values (?, ?, ?, ?)",
                (pending.number, pending.name, pending.checksum, now),
            )
        done.append(str(pending))


def status(state: State, known: tuple[Migration, ...] | None = None) -> list[Step]:
    """Every known migration and when it was applied. Raises as `migrate` does."""
    with state.migrating() as transaction:
        return _steps(transaction, migrations(state.dialect) if known is None else known)


def _steps(transaction: Transaction, known: tuple[Migration, ...]) -> list[Step]:
    transaction.execute(
        "create table if not exists schema_migrations (number integer primary key,"
        " name text not null, checksum text not null, applied_at timestamptz not null)"
    )
    applied = {
        row[0]: row[1:]
        for row in transaction.execute(
            "select number, name, checksum, applied_at from schema_migrations"
        )
    }
    steps = []
    for migration in known:
        name, checksum, applied_at = applied.pop(migration.number, (None, None, None))
        if name is not None and (name, checksum) != (migration.name, migration.checksum):
            raise MigrationError(
                f"migration {migration.number:04}_{name} was applied in another form than"
                f" this version has ({migration})",
                migration=str(migration),
            )
        steps.append(Step(migration, applied_at))
    if applied:
        number, (name, *_) = max(applied.items())
        raise StateTooNew(
            f"the state has migration {number:04}_{name}, which this version does not know",
            migration=f"{number:04}_{name}",
        )
    return steps
