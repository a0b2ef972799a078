"""Which daemon a command talks to, if not the site on this machine, and with which token."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bundles.errors import GooseError, UsageError


class TokenExposed(GooseError):
    """Others may read or change the file of an admin token."""

    code = "token-exposed"
    default_hint = "chmod 600 the file; end the token if somebody may have read it"


@dataclass(frozen=True, slots=True)
class Server:
    """A daemon elsewhere."""

    url: str  # http or https, without its last slash
    token: str = field(repr=False)
    ca: Path | None  # whose certificates count; None: the system's


_options: list[Mapping[str, str]] = []


@contextmanager
def use(options: Mapping[str, str]) -> Iterator[None]:
    """Makes `options`, what was typed of `server`, `ca` and `token_file`, the running command's."""
    _options.append(options)
    try:
        yield
    finally:
        _options.pop()


def chosen(environ: Mapping[str, str] | None = None) -> Server | None:
    """The daemon that the command line or the environment names; None for the site here.

    Raises `UsageError` or `TokenExposed`.
    """
    environ = os.environ if environ is None else environ
    typed = _options[-1] if _options else {}
    url = typed.get("server") or environ.get("GOOSE_SERVER")
    if not url:
        if typed:
            raise UsageError(
                "--ca and --token-file need a server", hint="name it with --server URL"
            )
        return None
    ca = typed.get("ca") or environ.get("GOOSE_CA")
    return Server(_url(url), _token(typed, environ), Path(ca) if ca else None)


def _url(text: str) -> str:
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    from goosed_daemon.setting_forms import base_url

    try:
        url = base_url(text)
    except ValueError as error:
        raise UsageError(
            f"the server: {error}", hint="write it as https://goose.example"
        ) from error
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        here = ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    if parts.scheme == "http" and not here:
        raise UsageError(
            f"{url} is not encrypted: whoever is on the way could read the token",
            hint="use https, or reach the daemon's own machine through a tunnel to 127.0.0.1",
        )
    return url


def _token(typed: Mapping[str, str], environ: Mapping[str, str]) -> str:
    named = typed.get("token_file")
    if named is None and (given := environ.get("GOOSE_TOKEN", "").strip()):
        return _plain(given, "GOOSE_TOKEN")
    named = named or environ.get("GOOSE_TOKEN_FILE")
    if not named:
        raise UsageError(
            "the server wants a token",
            hint="set GOOSE_TOKEN, or name a file of mode 0600 with --token-file",
        )
    return _plain(_read(Path(named)), named)


def _read(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise TokenExposed(
                    f"{path}: others may read or change it (mode {stat.S_IMODE(mode):04o})",
                    file=str(path),
                )
            return file.read(4096).decode("ascii", "replace").strip()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="name the token's file") from error


def _plain(token: str, where: str) -> str:
    # It becomes part of a header, and is never shown, also not where it is wrong.
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"{where} holds no token", hint="`goosectl admin-token new` makes one")
    return token
