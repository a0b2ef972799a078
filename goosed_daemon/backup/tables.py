"""The tables of a state as lines of JSON, the same from SQLite and from PostgreSQL.

A row is an array in the order of the table's columns. What JSON has no form for is an object with
one member: ``{"time": "2026-11-26T12:00:00.000001+00:00"}`` and ``{"bytes": "base64"}``.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from goosed_daemon.backup.errors import BadBackup
from goosed_daemon.state.migrate import migrations
from goosed_daemon.state.protocol import State, Transaction
from goosed_daemon.state.sql import marks

ROWS = 20_000  # of a file; what is in memory at once

_CREATE = re.compile(r"^create table (\w+) \(", re.MULTILINE)


def names(dialect: str) -> list[str]:
    """Every table, each after those that it refers to."""
    return [name for step in migrations(dialect) for name in _CREATE.findall(step.sql)]


def version(dialect: str) -> int:
    """The number of the newest migration."""
    return migrations(dialect)[-1].number


def dump(state: State, transaction: Transaction) -> Iterator[tuple[str, bytes]]:
    """Each file of `state/` by its name: ``TABLE.00001.jsonl``, the first line its columns."""
    for table in names(state.dialect):
        columns = _columns(state, transaction, table)
        order = ", ".join(str(number) for number in range(1, len(columns) + 1))
        for number in range(1, 100_000):
            rows = transaction.execute(
                f"select {', '.join(columns)} from {table} order by {order} limit ? offset ?",
                (ROWS, (number - 1) * ROWS),
            )
            if not rows and number > 1:
                break
            lines = [json.dumps(columns), *(json.dumps([_out(v) for v in row]) for row in rows)]
            yield f"{table}.{number:05}.jsonl", "".join(f"{line}\n" for line in lines).encode()


def load(state: State, transaction: Transaction, file: str, data: bytes) -> None:
    """Puts the rows of a file of `state/` into its table. Raises `BadBackup`."""
    table = file.split(".")[0]
    try:
        columns, *rows = [json.loads(line) for line in data.splitlines()]
        values = [[_in(value) for value in row] for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise BadBackup(f"state/{file} is not rows of a table: {error}") from error
    if columns != _columns(state, transaction, table):
        raise BadBackup(f"state/{file} has the columns of another version")
    over = " overriding system value" if state.dialect == "postgres" else ""
    into = f"insert into {table} ({', '.join(columns)}){over} values ({marks(columns)})"
    for row in values:
        transaction.execute(into, tuple(row))


def settle(state: State, transaction: Transaction) -> None:
    """Has generated ids go on after the highest that was put in."""
    if state.dialect != "postgres":
        return
    for table, column in transaction.execute(
        "select table_name, column_name from information_schema.columns"
        " where table_schema = current_schema() and is_identity = 'YES'"
    ):
        transaction.execute(
            f"select setval(pg_get_serial_sequence('{table}', '{column}'),"
            f" coalesce((select max({column}) from {table}), 0) + 1, false)"
        )


def is_empty(state: State, transaction: Transaction) -> bool:
    """Whether nothing was ever written."""
    return not any(
        transaction.execute(f"select 1 from {table} limit 1") for table in names(state.dialect)
    )


def _columns(state: State, transaction: Transaction, table: str) -> list[str]:
    if state.dialect == "postgres":
        rows = transaction.execute(
            "select column_name from information_schema.columns"
            " where table_schema = current_schema() and table_name = ? order by column_name",
            (table,),
        )
    else:
        rows = transaction.execute(
            "select name from pragma_table_info(?) order by name collate binary", (table,)
        )
    return sorted(row[0] for row in rows)


def _out(value: object) -> object:
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, bytes | memoryview):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    return str(value) if isinstance(value, UUID) else value


def _in(value: object) -> object:
    if isinstance(value, dict):
        ((kind, text),) = value.items()
        if kind == "time":
            return datetime.fromisoformat(text)
        if kind == "bytes":
            return base64.b64decode(text, validate=True)
        raise ValueError(f"there is no {kind}")
    if isinstance(value, list):
        raise TypeError("a value is a list")
    return value


def known(files: Sequence[str], dialect: str) -> None:
    """Raises `BadBackup` where there is a file of a table that this version has not, or none of one
    that it has."""
    there = {file.split(".")[0] for file in files}
    if there != set(names(dialect)):
        odd = ", ".join(sorted(there ^ set(names(dialect))))
        raise BadBackup(f"its tables are not those of this version: {odd}")
