"""`Site`: what all machines share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.part import Kind
from goosed_daemon.infra.models.secret import PasswordHash
from goosed_daemon.infra.models.variable import VariableValue


class Site(Kind):
    """What all machines of a site share. There is exactly one."""

    kind: Literal["Site"] = Field(description="Always `Site`.")
    url: f.Url | None = Field(
        None, description="Where machines reach the daemon; not set: the address they asked at."
    )
    domain: f.Hostname | None = Field(None, description="Appended to host names without a dot.")
    timezone: f.Timezone = Field("Etc/UTC", description="Time zone of installed systems.")
    keyboard: f.Keyboard = Field("us", description="Keyboard layout.")
    language: f.Language = Field("en_US.UTF-8", description="Locale of installed systems.")
    nameservers: tuple[f.AnyAddress, ...] = Field(
        (), description="DNS servers of machines with a static address."
    )
    ntp: tuple[f.Host, ...] = Field((), description="Time servers, by name or address.")
    root_password_hash: PasswordHash | None = Field(
        None, description="Root's password hash (crypt); not set: root has no password."
    )
    ssh_keys: tuple[f.SshKey, ...] = Field((), description="Public keys that may log in as root.")
    variables: dict[f.VariableName, VariableValue] = Field(
        {}, description="Environment variables for the `commands` of all machines."
    )
