"""Where NATS is, and how the daemon shows who it is."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from goosed_daemon.errors import BadSetting


@dataclass(frozen=True, slots=True)
class NatsAddress:
    """An address of the settings."""

    url: str = field(repr=False)  # may hold a token
    ca: Path | None = None  # authorities that the server's certificate is checked against
    credentials: Path | None = None  # a file of user JWT and seed (.creds)

    def options(self) -> dict[str, Any]:
        """Arguments of `nats.connect`. Raises `BadSetting` for files that cannot be used."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        # Without the secret: the client writes the address into its errors.
        found: dict[str, Any] = {"servers": [f"{parts.scheme}://{host}:{parts.port or 4222}"]}
        if parts.password is not None:
            found |= {"user": unquote(parts.username or ""), "password": unquote(parts.password)}
        elif parts.username is not None:
            found["token"] = unquote(parts.username)
        if self.credentials is not None:
            found["user_credentials"] = str(_readable(self.credentials, "nats_credentials"))
        if parts.scheme == "tls" or self.ca is not None:
            found["tls"] = _context(self.ca)
        return found


def _readable(path: Path, setting: str) -> Path:
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise BadSetting(
            f"{path} cannot be read: {error.strerror or error}", setting=setting
        ) from error


def _context(ca: Path | None) -> ssl.SSLContext:
    if ca is not None:
        _readable(ca, "nats_ca")
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise BadSetting(f"{ca} holds no certificates in PEM", setting="nats_ca") from error
