"""`Machine`: one machine of the site."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.disk import Disk
from goosed_daemon.infra.models.network import Network
from goosed_daemon.infra.models.part import Kind


class Machine(Kind):
    """One machine, recognised by what its firmware says."""

    kind: Literal["Machine"] = Field(description="Always `Machine`.")
    mac: Annotated[tuple[f.Mac, ...], f.OneOrMore, f.AtLeastOne] = Field(
        description="MAC address of the card it boots from, or several, in any spelling."
    )
    uuid: f.Uuid | None = Field(None, description="SMBIOS UUID; if set, it must match as well.")
    serial: f.Line | None = Field(
        None, description="SMBIOS serial number; if set, it must match as well."
    )
    profile: f.Name = Field(description="The `OSProfile` to install.")
    hostname: f.Hostname | None = Field(None, description="Host name; not set: the name.")
    labels: dict[f.LabelName, f.Line] = Field({}, description="Words to find it by.")
    network: Network | None = Field(None, description="A static address; not set: DHCP.")
    console: f.Console | None = Field(
        None, description="Serial console of installer and system, such as `ttyS0,115200n8`."
    )
    disk: Disk | None = Field(None, description="The disk, if not the profile's.")
    arguments: tuple[f.KernelArgument, ...] = Field(
        (), description="Further kernel arguments of the installer, after the profile's."
    )
    variables: dict[f.VariableName, f.Line] = Field(
        {}, description="Environment variables for the profile's `commands`."
    )
