"""Makes a site out of a backup: all of it, or nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from bundles.files.durable import sync_filesystem, sync_folder
from goosed_daemon import audit
from goosed_daemon.backup import tables
from goosed_daemon.backup.archive import Backup, Entry
from goosed_daemon.backup.errors import BackupFailed, BadBackup, SiteThere
from goosed_daemon.home import Home
from goosed_daemon.state import State, open_state


def restore(backup: Backup, home: Home, dsn: str | None, now: datetime, actor: str) -> int:
    """Puts the site into `home`, which must be empty or not be there, and into the database at
    `dsn`, which must hold nothing; returns how many files came. Everything is made beside the home
    and takes its place in one rename, just before the state is committed.

    Raises `SiteThere`, `BadBackup`, `BackupFailed`, `StateError`, and what reading the backup does.
    """
    if home.path.exists() and any(home.path.iterdir()):
        raise SiteThere(f"{home.path} is not empty")
    beside = home.path.with_name(f".{home.path.name}.restoring")
    try:
        shutil.rmtree(beside, ignore_errors=True)  # of one that was killed
        beside.mkdir(mode=0o700, parents=True)
        made = Home(beside)
        state = open_state(made, dsn, now)
        try:
            return _fill(backup, made, home, state, now, actor)
        finally:
            state.close()
    except OSError as error:
        raise BackupFailed(f"{error.filename or beside}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _fill(backup: Backup, made: Home, home: Home, state: State, now: datetime, actor: str) -> int:
    count, files = 0, list[str]()
    wanted = tables.version(state.dialect)
    if backup.about.migration != wanted:
        raise BadBackup(
            f"its state has migration {backup.about.migration}, and this version's is {wanted}"
        )
    with state.write(lock="goose restore") as transaction:
        if not tables.is_empty(state, transaction):
            raise SiteThere(f"{state} holds a site already")
        for entry in backup.entries():
            count += 1
            if entry.name.startswith("state/"):
                name = entry.name.removeprefix("state/")
                files.append(name)
                if name.split(".")[0] not in tables.names(state.dialect):
                    raise BadBackup(f"{entry.name} is of a table that this version has not")
                tables.load(state, transaction, name, entry.data)
            else:
                _put(made.path, entry)
        tables.known(files, state.dialect)
        tables.settle(state, transaction)
        audit.record(transaction, now, "site-restored", actor, made=backup.about.created)
        if state.dialect == "postgres":
            _take_place(made, home)
    if state.dialect != "postgres":
        state.close()  # the file is whole, and moves with the rest
        _take_place(made, home)
    return count


def _put(folder: Path, entry: Entry) -> None:
    path = folder / entry.name.removeprefix("home/")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(path, "xb", opener=_with_mode(entry.mode & 0o700 or 0o600)) as file:
        file.write(entry.data)
    path.chmod(entry.mode)


def _with_mode(mode: int) -> Callable[[str, int], int]:
    return lambda path, flags: os.open(path, flags, mode)


def _take_place(made: Home, home: Home) -> None:
    descriptor = os.open(made.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_filesystem(descriptor)
    finally:
        os.close(descriptor)
    os.rename(made.path, home.path)  # takes the place of an empty folder too
    sync_folder(home.path.parent)
