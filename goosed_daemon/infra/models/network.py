"""`Network`: the addresses of a machine."""

from __future__ import annotations

from pydantic import Field

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.addressing import Addressing
from goosed_daemon.infra.models.link import Bond, Ethernet, Vlan


class Network(Addressing):
    """The addresses of a machine: those of the card that it boots from, or of all that are listed.

    A machine without it asks DHCP.
    """

    nameservers: tuple[f.AnyAddress, ...] = Field(
        (), description="DNS servers; not set: the site's."
    )
    search: tuple[f.Hostname, ...] = Field(
        (), description="Domains in which short host names are looked up."
    )
    ethernets: tuple[Ethernet, ...] = Field((), description="Network cards.")
    bonds: tuple[Bond, ...] = Field((), description="Several cards as one.")
    vlans: tuple[Vlan, ...] = Field((), description="VLANs on cards or bonds.")

    @property
    def links(self) -> tuple[Ethernet | Bond | Vlan, ...]:
        """All that is listed, each after what it may be made of."""
        return (*self.ethernets, *self.bonds, *self.vlans)

    def contradiction(self) -> str | None:
        """What of the whole makes no sense together, in words."""
        if self.links and self.is_set:
            return "with ethernets, bonds or vlans each address belongs into one of them"
        for link in (self, *self.links):
            if said := Addressing.contradiction(link):
                return said if link is self else f"{link_name(link)}: {said}"
        return self._listed_twice() or self._member_is_busy() or self._vlan_hangs()

    def _listed_twice(self) -> str | None:
        names = [link_name(link) for link in self.links]
        names += [card.mac for card in self.ethernets if card.mac and card.name]
        again = next((name for name in names if names.count(name) > 1), None)
        return f"{again} is there twice" if again else None

    def _member_is_busy(self) -> str | None:
        by_mac = {card.mac: card.name for card in self.ethernets if card.mac and card.name}
        taken: dict[str, str] = {}
        for bond in self.bonds:
            for member in bond.members:
                name = by_mac.get(member, member)
                if name in taken:
                    return f"{member} is a member of {taken[name]} and of {bond.name}"
                taken[name] = bond.name
        for card in self.ethernets:
            if (own := link_name(card)) in taken and (card.is_static or card.routes):
                return f"{own} is a member of {taken[own]}, which has the addresses"
        for link in (*self.bonds, *self.vlans):
            if link_name(link) in taken:
                return f"{link_name(link)} cannot be a member of {taken[link_name(link)]}"
        return None

    def _vlan_hangs(self) -> str | None:
        carriers = {link_name(link) for link in (*self.ethernets, *self.bonds)}
        carriers |= {card.mac for card in self.ethernets if card.mac}
        for vlan in self.vlans:
            parent = vlan.parent
            if parent not in carriers:
                return f"vlan {vlan.id} is on {parent}, which is neither in ethernets nor in bonds"
            if vlan.name is None and len(f"{parent}.{vlan.id}") > 15 and ":" not in parent:
                return f"vlan {vlan.id} on {parent} needs a name: {parent}.{vlan.id} is too long"
        return None


def link_name(link: Addressing) -> str:
    """How an interface is told from the others of its machine."""
    if isinstance(link, Ethernet):
        return link.name or link.mac or ""
    if isinstance(link, Vlan):
        return link.name or f"{link.parent}.{link.id}"
    return link.name if isinstance(link, Bond) else ""
