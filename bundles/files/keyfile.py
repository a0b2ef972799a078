"""Files of keys, whatever kind of key: read with care, written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bundles.errors import GooseError
from bundles.files import durable

MAX_KEY_FILE = 64 * 1024  # bytes


class BadKey(GooseError):
    """A file that should hold a key does not hold one of the right kind."""

    code = "bad-key"
    default_hint = "look at it with goosectl key show FILE; goosectl key new NAME makes a new key"


class KeyExposed(GooseError):
    """Others than its owner may read a private key."""

    code = "key-exposed"
    default_hint = "chmod 600 the file, and make a new key if others were there"


class KeyExists(GooseError):
    """A new key would take the place of a file."""

    code = "key-exists"
    default_hint = "choose another name, or move the old key away first"


class KeyNotWritten(GooseError):
    """A new key cannot be written; neither of its files is there."""

    code = "key-not-written"
    default_hint = "choose another folder with --out"


def read(path: Path) -> bytes:
    """The bytes of a key file, also of a private one. Raises `BadKey`."""
    data, _ = _read(path)
    return data


def read_secret(path: Path) -> bytes:
    """The bytes of a private key file. Raises `BadKey`, or `KeyExposed` as ssh does: when the
    file is one's own and group or others have any right to it."""
    data, status = _read(path)
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o077:
        raise KeyExposed(
            f"{path} has mode {stat.S_IMODE(status.st_mode):04o}: others may read this private key",
            file=str(path),
        )
    return data


def write_pair(private: Path, secret: bytes, public: Path, text: bytes) -> None:
    """Writes a private file (0600) and a public one (0644), or neither.

    The private one first: should the power fail in between, the public one can be had from it.
    Raises `KeyExists` or `KeyNotWritten`.
    """
    try:
        private.parent.mkdir(parents=True, exist_ok=True)
        durable.create_files({private: (secret, 0o600), public: (text, 0o644)})
    except FileExistsError as error:
        raise KeyExists(f"{error.filename} is already there", file=error.filename) from error
    except OSError as error:
        raise KeyNotWritten(f"{private}: {error.strerror}", file=str(private)) from error


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    try:
        with open(path, "rb") as file:
            # Of the open file: nobody can put another in its place in between.
            status = os.fstat(file.fileno())
            data = file.read(MAX_KEY_FILE + 1)
    except OSError as error:
        raise BadKey(f"{path}: {error.strerror}", file=str(path)) from error
    if len(data) > MAX_KEY_FILE:
        raise BadKey(f"{path} is larger than any key", file=str(path))
    return data, status
