"""What the daemon can be told, from the environment and from one YAML file.

One table declares every setting; loading, its errors and docs/settings.md all come from it.
The environment wins over the file. Importing this module is cheap: the command line does so for
every command.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bundles.errors import UsageError
from goosed_daemon import duration
from goosed_daemon.errors import BadSetting, SettingWithoutEffect, UnknownSetting
from goosed_daemon.home import Home

__all__ = ["Home", "Settings", "reference"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table."""

    key: str  # in goosed.yaml, and the attribute of Settings
    variable: str
    parse: Callable[[str], Any]  # raises ValueError
    default: str | None  # as one would write it; None: not set
    text: str  # what it does, for docs/settings.md


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in effect."""

    home: Home
    listen: Address
    db_dsn: str | None = field(repr=False)  # may hold a password
    public_url: str | None
    token_ttl: timedelta
    arm_tries: int
    cache_bytes: int
    shutdown_grace: timedelta
    ready_file: Path | None
    log_level: str

    @classmethod
    def load(
        cls, environ: Mapping[str, str] | None = None, overrides: Mapping[str, str] | None = None
    ) -> Settings:
        """The settings of `environ` (default: the process's) and of the file in its home;
        `overrides`, by key, win over both: they are what was typed on the command line.

        Raises `BadSetting`, `UnknownSetting` and `SettingWithoutEffect`, each naming the variable
        or the file's line; `UsageError` for an override; `bundles.document` errors for a file that
        is not YAML.
        """
        environ = os.environ if environ is None else environ
        home = Home.find(environ)
        given = _from_file(home.config)
        given |= _from_environment(environ)
        given |= {
            key: (text, f"--{key.replace('_', '-')}") for key, text in (overrides or {}).items()
        }
        values: dict[str, Any] = {}
        for setting in TABLE:
            text, where = given.get(setting.key, (setting.default, "default"))
            try:
                values[setting.key] = None if text is None else setting.parse(text)
            except ValueError as error:
                typed = setting.key in (overrides or {})
                kind = UsageError if typed else BadSetting
                raise kind(
                    f"{where}: {error}", hint=BadSetting.default_hint, setting=setting.key
                ) from error
        return cls(home=home, **values)

    def url(self) -> str:
        """Where machines reach the daemon: `public_url`, or else the address it listens on."""
        return self.public_url or f"http://{self.listen}"


def listen_address(text: str) -> Address:
    """`HOST:PORT` or `[IPV6]:PORT`. Raises ValueError."""
    host, colon, port = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not host or (":" in host) != bracketed:
        raise ValueError(f"{text!r} is not HOST:PORT, such as 0.0.0.0:8080 or [::]:8080")
    try:
        host.encode("idna")  # as getaddrinfo does
    except UnicodeError as error:
        raise ValueError(f"{_short(text)} names no host: {error}") from error
    try:
        return Address(host, _number(port, 0, 65535))
    except ValueError as error:
        raise ValueError(f"{_short(text)} has no port between 0 and 65535") from error


def dsn(text: str) -> str:
    """A libpq connection string or URI (PostgreSQL documentation, section 34.1.1). Raises
    ValueError, which does not repeat it: it may hold a password."""
    if text.startswith(("postgresql://", "postgres://")) or re.match(r"\s*[a-z_]+\s*=", text):
        return text
    raise ValueError("it is neither postgresql://USER@HOST/DATABASE nor host=... dbname=...")


def base_url(text: str) -> str:
    """An absolute http or https URL without query, without its last slash. Raises ValueError."""
    if not text.isascii() or not text.isprintable() or any(c in text for c in " \"'\\$<>{}"):
        raise ValueError(f"{text!r} has characters that a URL cannot have")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r} is not a URL such as http://boot.example.org:8080")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError(f"{text!r} may hold only scheme, host, port and path")
    try:
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"{_short(text)} has no port between 0 and 65535") from error
    return text.rstrip("/")


def _whole(low: int, high: int) -> Callable[[str], int]:
    return lambda text: _number(text, low, high)


def _number(text: str, low: int, high: int) -> int:
    # Python itself refuses to read numbers of thousands of digits.
    if text.isascii() and text.isdigit() and len(text) <= len(str(high)):
        number = int(text)
        if low <= number <= high:
            return number
    raise ValueError(f"{_short(text)} is not a whole number between {low} and {high}")


def _short(text: str) -> str:
    """`text` as an error quotes it: what is far too long is cut."""
    return repr(text if len(text) <= 80 else f"{text[:40]}...{text[-20:]}")


def _span(low: str, high: str) -> Callable[[str], timedelta]:
    def parse(text: str) -> timedelta:
        value = duration.parse(text)
        if not duration.parse(low) <= value <= duration.parse(high):
            raise ValueError(f"{text!r} is not between {low} and {high}")
        return value

    return parse


def _one_of(*names: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"{text!r} is not one of {', '.join(names)}")
        return text

    return parse


token_ttl = _span("1s", "7d")

TABLE = (
    Setting(
        "listen",
        "GOOSED_LISTEN",
        listen_address,
        "127.0.0.1:8080",
        "Address and port to serve on. Port 0 lets the system choose; the ready line and"
        " `ready_file` tell which it was.",
    ),
    Setting(
        "db_dsn",
        "DB_DSN",
        dsn,
        None,
        "Where PostgreSQL keeps the state, `postgresql://USER:PASSWORD@HOST/DATABASE` or another"
        " connection string of libpq, whose TLS options it takes too (`sslmode=verify-full`)."
        " Not set: `state.db` in the home, for one daemon.",
    ),
    Setting(
        "public_url",
        "GOOSED_PUBLIC_URL",
        base_url,
        None,
        "Where machines reach this daemon, for the addresses in scripts and rendered files."
        " Not set: the host that the request itself named.",
    ),
    Setting(
        "token_ttl",
        "GOOSED_TOKEN_TTL",
        token_ttl,
        "30m",
        "How long a boot token may wait for its render, counted from its issue.",
    ),
    Setting(
        "arm_tries",
        "GOOSED_ARM_TRIES",
        _whole(1, 100),
        "3",
        "How many boot tokens an armed machine may be given before it must be armed again.",
    ),
    Setting(
        "cache_bytes",
        "GOOSED_CACHE_BYTES",
        _whole(0, 1 << 40),
        str(64 << 20),
        "Memory for small content (files of at most 64 KiB), in bytes; 0 turns the cache off.",
    ),
    Setting(
        "shutdown_grace",
        "GOOSED_SHUTDOWN_GRACE",
        _span("0s", "1d"),
        "60s",
        "How long requests in flight may go on after SIGTERM or SIGINT before they are cut.",
    ),
    Setting(
        "ready_file",
        "GOOSED_READY_FILE",
        Path,
        None,
        "A file written, in one step, once the daemon answers: a JSON object with `url` and"
        " `pid`. Removed on shutdown.",
    ),
    Setting(
        "log_level",
        "GOOSED_LOG_LEVEL",
        _one_of("debug", "info", "warning", "error"),
        "info",
        "The least severity that is logged. Logs are JSON lines on stderr.",
    ),
)

# Names of the design that this version does nothing with yet.
LATER = (
    "NATS_URL",
    "S3_ENDPOINT",
    "S3_BUCKET",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "S3_SECURE",
    "S3_REGION",
)


def _from_environment(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    by_variable = {setting.variable: setting.key for setting in TABLE}
    for name in LATER:
        if environ.get(name):
            raise SettingWithoutEffect(
                f"{name} is set, but this version has no use for it", setting=name
            )
    found = {}
    for name, text in environ.items():
        if name not in by_variable:
            if not name.startswith("GOOSED_"):
                continue
            raise _unknown(name, list(by_variable), f"environment: {name}")
        if text:
            found[by_variable[name]] = (text, name)
    return found


def _from_file(path: Path) -> dict[str, tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"{path} cannot be read: {error}") from error
    from bundles import document

    keys = [setting.key for setting in TABLE]
    found = {}
    for doc in document.load(text, str(path)):
        if doc.value is None:
            continue
        if not isinstance(doc.value, dict):
            raise BadSetting(f"{path} does not hold one mapping of settings")
        for key, value in doc.value.items():
            where = f"{path}:{doc.position((key,))[0]}: {key}"
            if key not in keys:
                raise _unknown(key, keys, where)
            if not isinstance(value, str):
                raise BadSetting(f"{where} is not a plain value", setting=key)
            found[key] = (value, where)
    return found


def _unknown(name: str, known: list[str], where: str) -> UnknownSetting:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else None
    return UnknownSetting(f"{where} is not a setting", hint=hint, setting=name)


def reference() -> str:
    """docs/settings.md."""
    rows = []
    for row in TABLE:
        default = f"`{row.default}`" if row.default is not None else "not set"
        rows.append(f"| `{row.key}` | `{row.variable}` | {default} | {row.text} |")
    later = ", ".join(f"`{name}`" for name in LATER)
    return _PAGE.format(rows="\n".join(rows), later=later)


_PAGE = """\
# Settings

Generated from `goosed_daemon/settings.py`; do not edit.

The daemon takes its settings from the environment and from `goosed.yaml` in its home; the
environment wins. An empty variable counts as not set. An unknown `GOOSED_*` variable and an unknown
key of the file are errors that name the nearest known one.

`GOOSE_HOME` is the site's folder, for the daemon and for `goosectl`: store, trust roots, profiles,
keys, state and `goosed.yaml`. Default: `/var/lib/goose` for root, for others `$XDG_DATA_HOME/goose`
(`~/.local/share/goose`).

| in `goosed.yaml` | in the environment | default | what it does |
|---|---|---|---|
{rows}

These names are kept for what they will mean. This version could only ignore them, so the daemon
refuses to start while one is set (`setting-without-effect`): {later}.
"""
