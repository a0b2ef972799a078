"""`Network`: a static address."""

from __future__ import annotations

from ipaddress import IPv4Address

from pydantic import Field, ValidationInfo, field_validator

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.part import Part


class Network(Part):
    """A static address. A machine without it asks DHCP."""

    address: f.Interface = Field(description="IPv4 address with prefix, such as `10.0.0.5/24`.")
    gateway: f.Address | None = Field(None, description="The router.")
    nameservers: tuple[f.AnyAddress, ...] = Field(
        (), description="DNS servers; not set: the site's."
    )

    @field_validator("gateway")
    @classmethod
    def _gateway_is_near(
        cls, gateway: IPv4Address | None, info: ValidationInfo
    ) -> IPv4Address | None:
        own = info.data.get("address")
        if own is not None and gateway is not None:
            if gateway not in own.network:
                raise ValueError(f"{gateway} is not in the network {own.network}")
            if gateway == own.ip:
                raise ValueError(f"{gateway} is the machine's own address")
        return gateway
