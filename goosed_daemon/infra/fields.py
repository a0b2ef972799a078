"""The types of profile fields: text that cannot be mistaken for anything else.

Profile text ends up in boot scripts, kernel command lines, kickstarts and shell, so none may hold a
newline, a control or an invisible character. Each format still quotes what it is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from bundles.format import paths
from goosed_daemon.infra import mac
from goosed_daemon.infra.secret_text import SecretText

T = TypeVar("T")
_HOST_FORM = (
    r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)


def shaped(pattern: str) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """Tells the exported schema by `shape` that a check lets nothing pass but `pattern`."""

    def mark(check: Callable[[str], T]) -> Callable[[str], T]:
        check.shape = {"pattern": f"^(?:{pattern})$"}  # type: ignore[attr-defined]
        return check

    return mark


@shaped(r"\S(?:.{0,4094}\S)?")
def line(text: str) -> str:
    """One line of visible characters. Raises ValueError."""
    if not text:
        raise ValueError("is empty")
    if len(text) > 4096:
        raise ValueError("is longer than 4096 characters")
    if not text.isprintable():
        bad = next(c for c in text if not c.isprintable())
        name = {"\n": "a newline", "\t": "a tab"}.get(bad, f"the character U+{ord(bad):04X}")
        raise ValueError(f"contains {name}; only one line of visible characters is allowed")
    if text != text.strip():
        raise ValueError("begins or ends with a space")
    return text


def _form(pattern: str, what: str, *, secret: bool = False) -> Callable[[str], str]:
    compiled = re.compile(pattern, re.ASCII)

    def check(text: str) -> str:
        line(text)
        if not compiled.fullmatch(text):
            shown = "this" if secret else repr(text[:60])
            raise ValueError(f"{shown} is not {what}")
        return text

    return shaped(pattern)(check)


@shaped(_HOST_FORM)
def _hostname(text: str) -> str:
    _host_form(text)
    if len(text) > 253 or any(len(label) > 63 for label in text.split(".")):
        raise ValueError(f"{text[:60]!r} is too long for a host name (RFC 1123, section 2.1)")
    return text


def _host_or_address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return _hostname(text)


def base_url(text: str) -> str:
    """An absolute http or https URL without query, without its last slash. Raises ValueError."""
    line(text)
    if not _URL_FORM.fullmatch(text):
        raise ValueError(f"{text!r} has characters that a URL cannot have")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r} is not a URL such as http://boot.example.org:8080")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError(f"{text!r} may hold only scheme, host, port and path")
    _ = parts.port  # raises ValueError when it is none
    return text.rstrip("/")


def _content_path(text: str) -> str:
    line(text)
    try:
        return paths.check_path(text, "path")
    except paths.BadLayout as error:
        raise ValueError(error.message.removeprefix("path: ")) from error


def _kernel_argument(text: str) -> str:
    line(text)
    if '"' in text:
        raise ValueError("contains a double quote; a value with spaces is quoted for you")
    if not text.isascii():
        raise ValueError("contains a character that is not ASCII")
    if "${" in text:
        raise ValueError("contains ${, which iPXE would expand")
    words = text.split(" ")
    if any(w in ("", "&&", "||", ";") or w.startswith("#") for w in words):
        raise ValueError("contains a word that iPXE cannot pass on: two spaces, && || ; or #...")
    if text.split("=")[0] in ("--", "---", "") or " " in text.split("=")[0]:
        raise ValueError(f"{text!r} is not one kernel argument, such as quiet or mem=4G")
    return text


def _command(text: str) -> str:
    line(text)
    if text.startswith("%"):
        raise ValueError("begins with %, which a kickstart takes for the end of its section")
    return text


@shaped(
    r"(?:01[:-])?[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}"
    r"|[0-9A-Fa-f]{12}|[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}|[0-9A-Fa-f]{6}-[0-9A-Fa-f]{6}"
)
def _mac(text: str) -> str:
    return mac.normalise(line(text))


def _uuid(text: str) -> str:
    line(text)
    try:
        value = UUID(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a UUID") from None
    if value.int in (0, (1 << 128) - 1):
        raise ValueError(f"{text!r} is what firmware says when it has no UUID")
    return str(value)


def _address(kind: Callable[[str], T], what: str) -> Callable[[Any], T]:
    def parse(text: Any) -> T:
        if not isinstance(text, str):
            raise ValueError(f"must be {what}")
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"{text[:60]!r} is not {what}") from None

    return parse


def _interface(text: str) -> IPv4Interface:
    value = IPv4Interface(text if "/" in text else "")
    network = value.network
    ends = (network.network_address, network.broadcast_address)
    if network.prefixlen < 31 and value.ip in ends:
        raise ValueError
    return value


def _interface6(text: str) -> IPv6Interface:
    value = IPv6Interface(text if "/" in text else "")
    if value.is_multicast or value.is_unspecified or value.is_link_local or value.scope_id:
        raise ValueError
    return value


def _host_address6(text: str) -> IPv6Address:
    value = IPv6Address(text)
    if value.is_multicast or value.is_unspecified or value.scope_id:
        raise ValueError
    return value


def _subnet(text: str) -> IPv4Network | IPv6Network:
    value = ip_network(text)
    if not value.prefixlen:
        raise ValueError  # a default route is what `gateway` is for
    return value


def _link_or_mac(text: str) -> str:
    line(text)
    try:
        return mac.normalise(text)
    except mac.BadMac:
        return _link_name(text)


_port_form = _form(r"[1-9][0-9]{0,4}/(?:tcp|udp|sctp)", "a port, such as 8080/tcp")


def _port(text: str) -> str:
    if int(_port_form(text).partition("/")[0]) > 65535:
        raise ValueError(f"{text!r} is not a port, such as 8080/tcp")
    return text


def _text(parse: Callable[[Any], Any]) -> Any:
    """A type given as text in YAML and in the exported schema, parsed in between."""
    return (
        BeforeValidator(parse),
        PlainSerializer(str, return_type=str),
        WithJsonSchema({"type": "string"}),
    )


def boolean(value: Any) -> bool:
    """`true` or `false`: YAML 1.1's yes, on, y and their like are words. Raises ValueError."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise ValueError(f"{str(value)[:60]!r} is neither true nor false")


def integer(value: Any) -> int:
    """A whole number of at most 18 digits, in decimal. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?(?:0|[1-9][0-9]{0,17})", value):
        return int(value)
    raise ValueError(f"{str(value)[:60]!r} is not a whole number")


def one_or_more(value: object) -> object:
    """A single value stands for a list of it."""
    return [value] if isinstance(value, str) else value


_host_form = _form(_HOST_FORM, "a host name")
_URL_FORM = re.compile(r"[A-Za-z0-9:/.\[\]_~%@+-]+")

_link_form = _form(
    r"[A-Za-z][A-Za-z0-9_.-]{0,14}", "a network interface's name (at most 15 letters, digits, _.-)"
)


def _link_name(text: str) -> str:
    if _link_form(text) in ("all", "bootif", "default", "link", "lo"):
        raise ValueError(f"{text!r} means something else than one interface")
    return text


Line = Annotated[str, AfterValidator(line)]
Name = Annotated[
    str,
    AfterValidator(
        _form(
            r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?",
            "a name (lower-case letters, digits, dots and hyphens, at most 63)",
        )
    ),
]
Hostname = Annotated[str, AfterValidator(_hostname)]
Host = Annotated[str, AfterValidator(_host_or_address)]
Url = Annotated[str, AfterValidator(base_url)]
ContentPath = Annotated[str, AfterValidator(_content_path)]
KernelArgument = Annotated[str, AfterValidator(_kernel_argument)]
Command = Annotated[str, AfterValidator(_command)]
Mac = Annotated[str, AfterValidator(_mac)]
Uuid = Annotated[str, AfterValidator(_uuid)]
Timezone = Annotated[
    str,
    AfterValidator(
        _form(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*", "a time zone, such as Europe/Berlin")
    ),
]
Keyboard = Annotated[
    str, AfterValidator(_form(r"[a-z]{2,8}(?:-[a-z0-9]+)*", "a keyboard, such as us or de"))
]
Language = Annotated[
    str,
    AfterValidator(_form(r"[a-z]{2,3}_[A-Z]{2}(?:\.UTF-8)?", "a locale, such as en_US.UTF-8")),
]
password_hash = _form(
    r"\$(?:5|6|y|7|gy|2[aby])\$[./A-Za-z0-9$=,]{20,200}",
    "a password hash of crypt(5); make one with `openssl passwd -6`",
    secret=True,
)
PasswordHash = Annotated[str, AfterValidator(password_hash), AfterValidator(SecretText)]
SshKey = Annotated[
    str,
    AfterValidator(
        _form(
            r"(?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp\d+|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)"
            r"@openssh\.com) [A-Za-z0-9+/]{40,}={0,3}(?: [\x20-\x7e]+)?",
            "an OpenSSH public key, such as `ssh-ed25519 AAAA... someone`",
        )
    ),
]
Package = Annotated[
    str,
    AfterValidator(
        _form(r"-?(?:@\^?)?[A-Za-z0-9][A-Za-z0-9.+_:~*-]*", "a package or @group, -without it")
    ),
]
UserName = Annotated[str, AfterValidator(_form(r"[a-z_][a-z0-9_-]{0,31}", "a user or group name"))]
Device = Annotated[
    str,
    AfterValidator(
        _form(
            r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._:+@-]*(?:/[A-Za-z0-9._:+@-]+)*",
            "a disk below /dev, such as sda, nvme0n1 or disk/by-id/...",
        )
    ),
]
MountPoint = Annotated[
    str,
    AfterValidator(
        _form(
            r"swap|/|(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._-]{1,64})+",
            "where a file system is mounted, such as /var, or swap",
        )
    ),
]
Size = Annotated[
    str, AfterValidator(_form(r"[1-9][0-9]{0,6}[MGT]", "a size, such as 512M, 20G or 1T"))
]
Span = Annotated[
    str, AfterValidator(_form(r"[1-9][0-9]{0,4}[smhd]", "a time, such as 90s, 30m, 4h or 7d"))
]
#: The steps of `goosed_daemon.workflow.steps` in which a machine may be for too long.
Step = Literal[
    "armed",
    "offered",
    "script-served",
    "fetched",
    "rendered",
    "installing",
    "installed",
    "first-boot",
    "enrolled",
]
VolumeName = Annotated[
    str,
    AfterValidator(_form(r"[A-Za-z0-9][A-Za-z0-9_]{0,31}", "a volume's name (letters, digits, _)")),
]
ServiceName = Annotated[
    str,
    AfterValidator(_form(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,127}", "a service, such as chronyd")),
]
FirewallService = Annotated[
    str, AfterValidator(_form(r"[a-z0-9][a-z0-9-]{0,31}", "a service of firewalld, such as https"))
]
Port = Annotated[str, AfterValidator(_port)]
FullName = Annotated[
    str, AfterValidator(_form(r"[A-Za-z0-9][A-Za-z0-9 .,'()@_/+-]{0,99}", "a full name in ASCII"))
]
LoginShell = Annotated[
    str,
    AfterValidator(_form(r"(?:/[A-Za-z0-9_+-][A-Za-z0-9._+-]*)+", "a shell, such as /bin/bash")),
]
Console = Annotated[
    str, AfterValidator(_form(r"[a-zA-Z]+\d+(?:,\d+[neo]?\d?r?)?", "a console, as ttyS0,115200n8"))
]
VariableName = Annotated[
    str,
    AfterValidator(_form(r"[A-Z][A-Z0-9_]{0,63}", "a variable (capital letters, digits, _)")),
]
LabelName = Annotated[
    str,
    AfterValidator(_form(r"[a-z0-9](?:[a-z0-9._/-]{0,61}[a-z0-9])?", "a label name")),
]
Address = Annotated[IPv4Address, *_text(_address(IPv4Address, "an IPv4 address"))]
AnyAddress = Annotated[IPv4Address | IPv6Address, *_text(_address(ip_address, "an IP address"))]
Interface = Annotated[
    IPv4Interface,
    *_text(_address(_interface, "a host's IPv4 address with its prefix, such as 10.0.0.5/24")),
]
Boolean = Annotated[bool, BeforeValidator(boolean)]
Integer = Annotated[int, BeforeValidator(integer)]
Interface6 = Annotated[
    IPv6Interface,
    *_text(_address(_interface6, "a host's IPv6 address with its prefix, such as fd00::5/64")),
]
Address6 = Annotated[IPv6Address, *_text(_address(_host_address6, "an IPv6 address"))]
Subnet = Annotated[
    IPv4Network | IPv6Network,
    *_text(_address(_subnet, "a network, such as 10.1.0.0/16 (for all others there is `gateway`)")),
]
LinkName = Annotated[str, AfterValidator(_link_name)]
LinkOrMac = Annotated[str, AfterValidator(_link_or_mac)]
OneOrMore = BeforeValidator(one_or_more)
AtLeastOne = Field(min_length=1)
