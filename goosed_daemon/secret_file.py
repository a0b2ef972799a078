"""Keys of the site in files of their own: made at the first use, then only read."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from goosed_daemon.errors import DaemonError


def load(
    path: Path,
    size: int,
    refusal: type[DaemonError],
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> bytes:
    """The `size` bytes in `path`; at the first use they are made, with mode 0600.

    Several processes that start at once all get the same. Raises `refusal`.
    """
    try:
        try:
            return _read(path, size, refusal)
        except FileNotFoundError:
            _create(path, random(size))
            return _read(path, size, refusal)
    except OSError as error:
        raise refusal(
            f"{path}: {error.strerror or error}", hint="mend the file's folder or permissions"
        ) from error


def _read(path: Path, size: int, refusal: type[DaemonError]) -> bytes:
    with open(path, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & (stat.S_IWGRP | stat.S_IRWXO):
            raise refusal(
                f"{path}: others may read or change it (mode {stat.S_IMODE(mode):04o})",
                hint=f"chmod 600 {path}, or remove it when someone may have read it",
            )
        key = file.read(size + 1)
    if len(key) != size:
        raise refusal(f"{path}: such a key has {size} bytes, and this one {len(key)}")
    return key


def _create(path: Path, key: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            os.write(file, key)
            os.fsync(file)
        finally:
            os.close(file)
        try:
            os.link(temporary, path)  # fails, unlike rename, when another process was first
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)
