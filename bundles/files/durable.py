"""Making writes survive a power loss."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_TEMPORARY = ".{name}.{process}.tmp"

_libc = ctypes.CDLL(None, use_errno=True)


def sync_filesystem(descriptor: int) -> None:
    """Writes out everything on the file system of `descriptor`: syncfs(2).

    For many small files one such call costs far less than an fsync each. Raises OSError, which
    since Linux 5.8 includes errors of earlier writes to that file system.
    """
    if _libc.syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Puts `data` at `path` in one step: whoever looks sees the old file or the new one, whole,
    also after a power loss. A file of mode 0600 is never readable by others in between."""
    with replacement(path, mode) as file:
        file.write(data)


@contextmanager
def replacement(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file to be written, which takes its place at `path` as `replace_file` says, when the block
    ends; left by an exception, it is gone."""
    temporary = _temporary(path)
    try:
        with _new(temporary, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def move(path: Path, to: Path) -> None:
    """Gives the file at `path` the free name `to` in another folder. After a power loss it is at
    one of the two, or at both. Raises OSError."""
    try:
        os.link(path, to)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links: it is left to it how whole its renames are
        os.rename(path, to)
        sync_folder(to.parent)
    else:
        sync_folder(to.parent)
        os.unlink(path)
    sync_folder(path.parent)


def create_files(files: Mapping[Path, tuple[bytes, int]]) -> None:
    """Puts new files, each with its mode, under names that are free: all of them, or none.

    Raises OSError; FileExistsError names the one that was there, which is left as it is. A power
    loss may leave the first few, each of them whole.
    """
    made: list[Path] = []
    try:
        for path, (data, mode) in files.items():
            temporary = _temporary(path)
            try:
                with _new(temporary, mode) as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                # Unlike a rename, a link never takes the place of another file.
                os.link(temporary, path)
            except FileExistsError as error:
                raise FileExistsError(error.errno, error.strerror, str(path)) from error
            finally:
                temporary.unlink(missing_ok=True)
            made.append(path)
        for folder in {path.parent for path in files}:
            sync_folder(folder)
    except BaseException:
        for path in made:
            path.unlink()
        raise


def sweep(folder: Path) -> None:
    """Removes what killed runs of `replace_file` left in `folder`. None may be at work there."""
    for path in folder.glob(_TEMPORARY.format(name="*", process="*")):
        path.unlink()


def _temporary(path: Path) -> Path:
    return path.with_name(_TEMPORARY.format(name=path.name, process=os.getpid()))


def _new(path: Path, mode: int) -> BinaryIO:
    """A new file; one that an earlier run left behind, with whatever mode, goes."""
    path.unlink(missing_ok=True)
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb")
