"""`Ethernet`, `Bond` and `Vlan`: the interfaces of a machine that has more than one."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.addressing import Addressing


class Ethernet(Addressing):
    """A network card, by its MAC address or by the name that the kernel gives it."""

    mac: f.Mac | None = Field(None, description="The card's MAC address.")
    name: f.LinkName | None = Field(
        None, description="What the card is called; with `mac`, what it shall be called."
    )

    @model_validator(mode="after")
    def _is_some_card(self) -> Self:
        if self.mac is None and self.name is None:
            raise ValueError("mac or name is needed, to say which card it is")
        return self


class Bond(Addressing):
    """Several cards as one interface (Linux, Documentation/networking/bonding.rst)."""

    name: f.LinkName = Field(description="Its name, such as `bond0`.")
    members: Annotated[tuple[f.LinkOrMac, ...], f.OneOrMore, f.AtLeastOne] = Field(
        description="Its cards, by MAC address or by name."
    )
    mode: Literal[
        "balance-rr",
        "active-backup",
        "balance-xor",
        "broadcast",
        "802.3ad",
        "balance-tlb",
        "balance-alb",
    ] = Field("active-backup", description="How its cards are used; `802.3ad` is LACP.")
    miimon: f.Integer = Field(
        100, ge=0, le=65535, description="Milliseconds between two looks at the links."
    )
    updelay: f.Integer | None = Field(
        None, ge=0, le=65535, description="Milliseconds before a link that came up is used."
    )
    downdelay: f.Integer | None = Field(
        None, ge=0, le=65535, description="Milliseconds before a link that went down is left."
    )
    lacp_rate: Literal["slow", "fast"] | None = Field(
        None, description="How often LACP speaks (`802.3ad`)."
    )
    xmit_hash_policy: Literal["layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4"] | None = (
        Field(None, description="What decides over the card that a packet leaves by.")
    )
    min_links: f.Integer | None = Field(
        None, ge=0, le=1024, description="Links that must be up for the bond to be (`802.3ad`)."
    )
    primary: f.LinkOrMac | None = Field(
        None, description="The member that is used while its link is up (`active-backup`)."
    )

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if len(set(self.members)) < len(self.members):
            raise ValueError(f"{self.name} has a member twice")
        if self.primary is not None and self.primary not in self.members:
            raise ValueError(f"primary {self.primary} is no member of {self.name}")
        fitting = {
            "primary": ("active-backup", "balance-tlb", "balance-alb"),
            "lacp_rate": ("802.3ad",),
            "min_links": ("802.3ad",),
            "xmit_hash_policy": ("balance-xor", "802.3ad", "balance-tlb"),
        }
        for option, modes in fitting.items():
            if getattr(self, option) is not None and self.mode not in modes:
                shown = type(self).model_fields[option].alias
                raise ValueError(f"{shown} is for the modes {', '.join(modes)}, not {self.mode}")
        return self


class Vlan(Addressing):
    """A VLAN on a card or bond (IEEE 802.1Q)."""

    id: f.Integer = Field(ge=1, le=4094, description="The number in the tag.")
    parent: f.LinkOrMac = Field(description="The card or bond that carries it, by name or MAC.")
    name: f.LinkName | None = Field(None, description="Its name; not set: `PARENT.ID`.")
