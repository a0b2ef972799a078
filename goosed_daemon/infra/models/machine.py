"""`Machine`: one machine of the site."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.inherited import Inherited
from goosed_daemon.infra.models.network import Network
from goosed_daemon.infra.models.part import Kind


class Machine(Inherited, Kind):
    """One machine, recognised by what its firmware says.

    As `Infra` gives it out it is the whole: what its groups say is in it.
    """

    kind: Literal["Machine"] = Field(description="Always `Machine`.")
    mac: Annotated[tuple[f.Mac, ...], f.OneOrMore, f.AtLeastOne] = Field(
        description="MAC address of the card it boots from, or several, in any spelling."
    )
    uuid: f.Uuid | None = Field(None, description="SMBIOS UUID; if set, it must match as well.")
    serial: f.Line | None = Field(
        None, description="SMBIOS serial number; if set, it must match as well."
    )
    hostname: f.Hostname | None = Field(None, description="Host name; not set: the name.")
    labels: dict[f.LabelName, f.Line] = Field(
        {}, description="Words to find it by; groups select by them."
    )
    network: Network | None = Field(None, description="Its addresses; not set: DHCP.")

    @field_validator("network")
    @classmethod
    def _network_makes_sense(cls, network: Network | None) -> Network | None:
        # Only here, since groups may hold parts that need others.
        if network is not None and (wrong := network.contradiction()):
            raise ValueError(wrong)
        return network
