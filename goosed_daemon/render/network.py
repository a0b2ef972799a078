"""What a machine's `network` comes to: interfaces with names, for each format to write down.

A card that a bond or VLAN is made of needs a name, since neither Anaconda nor networkd takes a MAC
address there. So it is given one: to the installer by its kernel's arguments, to the new system by
a file that udev reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Literal

from goosed_daemon.infra.models import Addressing, Bond, Network
from goosed_daemon.render.context import BootContext

BOOT_CARD = "boot0"  # what the installer calls the card that it boots from, where that has no name

# Shell that finds the booting card in the installer's kernel arguments: nobody knows it before.
BOOT_MAC = "boot=$(sed -n 's/.*BOOTIF=01-\\([0-9A-Fa-f-]*\\).*/\\1/p' /proc/cmdline | tr - :)"


@dataclass(frozen=True, slots=True)
class Link:
    """One interface. `name` is what the system calls it; a card may be known by `mac` alone."""

    kind: Literal["ethernet", "bond", "vlan"]
    name: str | None
    mac: str | None
    addressing: Addressing
    members: tuple[str, ...] = ()
    bond: Bond | None = None
    parent: str | None = None
    vlan: int | None = None

    @property
    def key(self) -> str:
        """Its name, or else the MAC address that it is known by."""
        return self.name or self.mac or ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All interfaces of a machine, each after what it is made of."""

    links: tuple[Link, ...]
    renamed: dict[str, str] = field(default_factory=dict)  # MAC -> name, of cards given one
    master: dict[str, Bond] = field(default_factory=dict)  # name of a member -> its bond
    parents: frozenset[str] = frozenset()  # names of what carries VLANs


def plan(network: Network) -> Plan:
    """The interfaces that `network` lists; none for one that speaks of the booting card alone."""
    renamed = _names(network)
    master: dict[str, Bond] = {}
    for bond in network.bonds:
        master |= {renamed.get(member, member): bond for member in bond.members}
    links: list[Link] = []
    for card in network.ethernets:
        name = renamed.get(card.mac, card.name) if card.mac else card.name
        if name is None or name not in master:
            links.append(Link("ethernet", name, card.mac, card))
    for bond in network.bonds:
        members = tuple(renamed.get(member, member) for member in bond.members)
        links.append(Link("bond", bond.name, None, bond, members=members, bond=bond))
    for vlan in network.vlans:
        parent = renamed.get(vlan.parent, vlan.parent)
        name = vlan.name or f"{parent}.{vlan.id}"
        links.append(Link("vlan", name, None, vlan, parent=parent, vlan=vlan.id))
    carrying = frozenset(link.parent for link in links if link.parent is not None)
    return Plan(tuple(links), renamed, master, carrying)


def _names(network: Network) -> dict[str, str]:
    """MAC -> name, of each card that is given one or needs one."""
    named = {card.mac: card.name for card in network.ethernets if card.mac and card.name}
    taken = {link.name for link in network.links if link.name} | set(_mentioned(network))
    free = (name for number in range(1000) if (name := f"lan{number}") not in taken)
    for mention in _mentioned(network):
        if ":" in mention and mention not in named:
            named[mention] = next(free)
    return named


def _mentioned(network: Network) -> Iterator[str]:
    """What bonds and VLANs call the cards that they are made of."""
    for bond in network.bonds:
        yield from bond.members
    for vlan in network.vlans:
        yield vlan.parent


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """The card that the installer boots from: what it calls it, and its address for as long.

    Without `address` it asks DHCP, as the firmware did.
    """

    name: str
    address: IPv4Interface | IPv6Interface | None = None
    gateway: IPv4Address | IPv6Address | None = None


def of_installer(boot: BootContext) -> Meanwhile:
    """The card that the machine boots from while it is installed.

    A bond's address is its booting member's for as long: the installer needs one card, not the
    switch's consent to a bond.
    """
    own = boot.machine.network
    if own is None:
        return Meanwhile(BOOT_CARD)
    name: str = BOOT_CARD
    found: Addressing | None = own if not own.links else None
    if own.links:
        made = plan(own)
        name = made.renamed.get(boot.mac, BOOT_CARD)
        cards = {card.mac: card for card in own.ethernets}
        found = made.master.get(name) or cards.get(boot.mac)
    if found is None or not found.is_static:
        return Meanwhile(name)
    if found.address is not None:
        return Meanwhile(name, found.address, found.gateway)
    return Meanwhile(name, found.address6, found.gateway6)


def needs_files(network: Network | None) -> bool:
    """Whether the Debian installer, which knows one card with one IPv4 address, cannot say it."""
    if network is None:
        return False
    rest = (network.links, network.address6, network.mtu, network.routes, network.search)
    return any(rest) or network.ipv4 != "dhcp" or network.ipv6 != "auto"
