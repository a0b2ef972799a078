"""`Addressing`: how one network interface gets its addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.part import Part


class Route(Part):
    """A way to a network that the gateway does not know."""

    to: f.Subnet = Field(description="The network, such as `10.1.0.0/16`.")
    via: f.AnyAddress = Field(description="The router to it, near this interface.")
    metric: f.Integer | None = Field(
        None, ge=1, le=4294967295, description="Of several, the lower is preferred."
    )

    @field_validator("via")
    @classmethod
    def _same_family(
        cls, via: IPv4Address | IPv6Address, info: ValidationInfo
    ) -> IPv4Address | IPv6Address:
        to = info.data.get("to")
        if to is not None and to.version != via.version:
            raise ValueError(f"{via} is no router to {to}: one is IPv4, the other IPv6")
        return via


class Addressing(Part):
    """Addresses of one interface: static where one is given, else by DHCP and by IPv6 routers."""

    address: f.Interface | None = Field(
        None, description="IPv4 address with prefix, such as `10.0.0.5/24`."
    )
    gateway: f.Address | None = Field(None, description="The router of IPv4.")
    address6: f.Interface6 | None = Field(
        None, description="IPv6 address with prefix, such as `fd00::5/64`."
    )
    gateway6: f.Address6 | None = Field(
        None, description="The router of IPv6; link-local ones may stand here."
    )
    ipv4: Literal["dhcp", "off"] = Field(
        "dhcp", description="Without `address`: ask DHCP, or have none."
    )
    ipv6: Literal["auto", "dhcp", "off"] = Field(
        "auto", description="Without `address6`: listen to routers, ask DHCPv6, or have none."
    )
    mtu: f.Integer | None = Field(
        None, ge=1280, le=65535, description="Bytes of the largest packet."
    )
    routes: tuple[Route, ...] = Field((), description="Ways to further networks.")

    @field_validator("gateway")
    @classmethod
    def _gateway_is_near(
        cls, gateway: IPv4Address | None, info: ValidationInfo
    ) -> IPv4Address | None:
        _check_near(info.data.get("address"), gateway)
        return gateway

    @field_validator("gateway6")
    @classmethod
    def _gateway6_is_near(
        cls, gateway: IPv6Address | None, info: ValidationInfo
    ) -> IPv6Address | None:
        if gateway is None or not gateway.is_link_local:
            _check_near(info.data.get("address6"), gateway)
        return gateway

    @property
    def method4(self) -> Literal["static", "dhcp", "off"]:
        """How IPv4 is set up."""
        return "static" if self.address is not None else self.ipv4

    @property
    def method6(self) -> Literal["static", "auto", "dhcp", "off"]:
        """How IPv6 is set up."""
        return "static" if self.address6 is not None else self.ipv6

    @property
    def is_static(self) -> bool:
        """Whether it has an address of its own."""
        return self.address is not None or self.address6 is not None

    @property
    def is_set(self) -> bool:
        """Whether anything here is said."""
        fields = Addressing.model_fields.items()
        return any(getattr(self, name) != field.default for name, field in fields)

    def contradiction(self) -> str | None:
        """What of it makes no sense together, in words. Groups may hold parts that do not yet."""
        for gateway, address in (("gateway", "address"), ("gateway6", "address6")):
            if getattr(self, gateway) is not None and getattr(self, address) is None:
                return f"{gateway} is of no use without {address}"
        return None


def _check_near(
    own: IPv4Interface | IPv6Interface | None, gateway: IPv4Address | IPv6Address | None
) -> None:
    if own is not None and gateway is not None:
        if gateway not in own.network:
            raise ValueError(f"{gateway} is not in the network {own.network}")
        if gateway == own.ip:
            raise ValueError(f"{gateway} is the machine's own address")
