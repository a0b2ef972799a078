"""The site's key from which boot tokens are derived."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from goosed_daemon.errors import BadTokenKey

SIZE = 32  # bytes


class TokenKey:
    """Derives secrets, so that they can be told again without being stored anywhere."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != SIZE:
            raise BadTokenKey(f"a token key has {SIZE} bytes, not {len(key)}")
        self._key = key

    def boot(self, token_id: str) -> str:
        """The secret of a boot token: base64url(HMAC-SHA-256(key, id)), without padding."""
        return self._derive(UUID(token_id).bytes)

    def callback(self, token_id: str) -> str:
        """The secret with which the install that a boot token began reports its progress."""
        return self._derive(b"callback" + UUID(token_id).bytes)

    def _derive(self, message: bytes) -> str:
        mac = hmac.digest(self._key, message, "sha256")
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def digest(secret: str) -> str:
    """What is stored of a secret: its SHA-256, hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def load(path: Path, random: Callable[[int], bytes] = secrets.token_bytes) -> TokenKey:
    """The key in `path`; at the first use it is made, with mode 0600.

    Several processes that start at once all get the same key. Raises `BadTokenKey`.
    """
    try:
        try:
            return TokenKey(_read(path))
        except FileNotFoundError:
            _create(path, random(SIZE))
            return TokenKey(_read(path))
    except OSError as error:
        raise BadTokenKey(
            f"{path}: {error.strerror or error}", hint="mend the file's folder or permissions"
        ) from error
    except BadTokenKey as error:
        raise BadTokenKey(f"{path}: {error.message}", hint=error.hint) from error


def _read(path: Path) -> bytes:
    with open(path, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & (stat.S_IWGRP | stat.S_IRWXO):
            raise BadTokenKey(
                f"others may read or change it (mode {stat.S_IMODE(mode):04o})",
                hint=f"chmod 600 {path}, or remove it when someone may have read it",
            )
        return file.read(SIZE + 1)


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
