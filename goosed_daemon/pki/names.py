"""Names and addresses that certificates are for, and those that an authority may vouch for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from goosed_daemon.pki.errors import BadName

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Permitted:
    """The domains, each with all below it, and the networks that an authority may vouch for."""

    domains: tuple[str, ...]
    networks: tuple[Network, ...]

    def allows(self, name: str | Address) -> bool:
        """Whether `name` is among them."""
        if isinstance(name, str):
            return any(name == domain or name.endswith(f".{domain}") for domain in self.domains)
        return any(name in network for network in self.networks if network.version == name.version)

    def __str__(self) -> str:
        return ", ".join(map(str, (*self.domains, *self.networks)))


def permitted(texts: Sequence[str]) -> Permitted:
    """Domains and networks as people write them. Raises `BadName`."""
    domains, networks = [], []
    for text in texts:
        try:
            networks.append(ip_network(text))
        except ValueError as error:
            if re.fullmatch(r"[0-9a-f.:]+(/[0-9]+)?", text):
                raise BadName(f"{text!r} is not a network: {error}", hint="10.0.0.0/8") from error
            domains.append(host(text))
    return Permitted(tuple(domains), tuple(networks))


def host(text: str) -> str:
    """A DNS name in lower case. Raises `BadName`."""
    name = text.lower().rstrip(".")
    if not _HOST.fullmatch(name):
        raise BadName(f"{text!r} is not a DNS name", hint="such as goose.site-a.example")
    return name


def address(text: str) -> Address:
    """An IP address. Raises `BadName`."""
    try:
        return ip_address(text)
    except ValueError as error:
        raise BadName(f"{text!r} is not an IP address", hint="such as 10.0.0.5") from error
