"""The forms that settings have: each function reads one, or raises ValueError and says why not.

What it says names no value that may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from goosed_daemon import duration

T = TypeVar("T")
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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


def or_none(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    """What `parse` takes, or ``none``."""
    return lambda text: None if text.strip() == "none" else parse(text)


BOOTD, API, ORCHESTRATOR = "bootd", "api", "orchestrator"
ROLES = (BOOTD, API, ORCHESTRATOR)


def roles(text: str) -> frozenset[str]:
    """Roles of `ROLES` with commas between them. Raises ValueError."""
    found = frozenset(word.strip() for word in text.split(","))
    for word in sorted(found.difference(ROLES)):
        raise ValueError(f"{_short(word)} is no role; roles are {', '.join(ROLES)}")
    return found


def words(text: str) -> tuple[str, ...]:
    """Words with blanks between them."""
    return tuple(text.split())


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and as many again in each span."""

    count: int
    span: timedelta


def rate(text: str) -> Rate:
    """`COUNT/SPAN`. Raises ValueError."""
    count, _, span = text.partition("/")
    try:
        found = Rate(_number(count, 1, 1_000_000), duration.parse(span))
    except ValueError as error:
        raise ValueError(f"{_short(text)} is not COUNT/SPAN, such as 600/10s") from error
    if found.span <= timedelta(0):
        raise ValueError(f"{_short(text)} is not COUNT/SPAN, such as 600/10s")
    return found


def networks(text: str) -> tuple[Network, ...]:
    """Networks with blanks between them. Raises ValueError."""
    try:
        found = tuple(ip_network(word) for word in text.split())
    except ValueError as error:
        raise ValueError(f"{error}; networks are such as 10.0.0.0/8 fd00::/8") from error
    if not found:
        raise ValueError("no network is given, such as 10.0.0.0/8")
    return found


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


def nats_url(text: str) -> str:
    """`nats://HOST:PORT` or `tls://...`, with a token or USER:PASSWORD before the host if need be.
    Raises ValueError, which does not repeat it."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ValueError("it has no host and port") from error
    if not text.isprintable() or parts.scheme not in ("nats", "tls") or not parts.hostname:
        raise ValueError("it is not nats://HOST:PORT or tls://HOST:PORT")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("it may hold only scheme, host and port, and a token before the host")
    return text


def headers(text: str) -> Mapping[str, str]:
    """Headers of HTTP, as OpenTelemetry's specification has them in OTEL_EXPORTER_OTLP_HEADERS."""
    # The values may be secrets: no error shows them.
    found = {}
    for item in text.split(","):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise ValueError("the value is not NAME=VALUE, or several of them with commas between")
        found[name] = unquote(value)
        if not found[name].isascii() or not found[name].isprintable():
            raise ValueError(f"the value of {name} has characters that a header cannot have")
    return found


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number between `low` and `high`."""
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


def span(low: str, high: str) -> Callable[[str], timedelta]:
    """A duration between two others."""

    def parse(text: str) -> timedelta:
        value = duration.parse(text)
        if not duration.parse(low) <= value <= duration.parse(high):
            raise ValueError(f"{text!r} is not between {low} and {high}")
        return value

    return parse


def one_of(*names: str) -> Callable[[str], str]:
    """One of `names`."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"{text!r} is not one of {', '.join(names)}")
        return text

    return parse


def s3_endpoint(text: str) -> str:
    """HOST or HOST:PORT of an S3 service."""
    host, _, port = text.partition(":")
    if not re.fullmatch(r"[A-Za-z0-9.-]+", host) or (":" in text and not _is_port(port)):
        raise ValueError(
            f"{_short(text)} is not HOST or HOST:PORT; S3_SECURE says whether to use TLS"
        )
    return text


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= 65535


def s3_bucket(text: str) -> str:
    """The name of a bucket."""
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text):
        raise ValueError(f"{_short(text)} is not the name of a bucket")
    return text


def word(text: str) -> str:
    """A key or another word without blanks."""
    # The value may be a secret: no error shows it.
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("the value has characters that a key cannot have")
    return text


def yes_or_no(text: str) -> bool:
    """``true`` or ``false``."""
    if text not in ("true", "false"):
        raise ValueError(f"{_short(text)} is neither true nor false")
    return text == "true"
