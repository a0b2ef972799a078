"""`Inherited`: what a machine may leave to its groups."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.disk import Disk
from goosed_daemon.infra.models.part import Part
from goosed_daemon.infra.models.secret import PasswordHash
from goosed_daemon.infra.models.user import User
from goosed_daemon.infra.models.variable import VariableValue


class Merge(StrEnum):
    """What becomes of a field that is given more than once, from general to specific."""

    REPLACE = "the most specific one counts, whole"
    KEYS = "merged by key; of one key the most specific counts"
    DEFAULTS = "merged by key, for machines that have it at all"
    APPEND = "all of them, the general first"


class Inherited(Part):
    """What groups may set for their machines, and each machine for itself."""

    profile: f.Name = Field("", description="The `OSProfile` to install.")
    console: f.Console | None = Field(
        None, description="Serial console of installer and system, such as `ttyS0,115200n8`."
    )
    disk: Disk | None = Field(None, description="The disk, if not the profile's.")
    arguments: tuple[f.KernelArgument, ...] = Field(
        (), description="Further kernel arguments of the installer, after the profile's."
    )
    variables: dict[f.VariableName, VariableValue] = Field(
        {}, description="Values of the variables that the profile declares, for its `commands`."
    )
    timeouts: dict[f.Step, f.Span] = Field(
        {}, description="How long it may be in a step of its workflow, if not as the profile says."
    )
    domain: f.Hostname | None = Field(None, description="Instead of the site's.")
    timezone: f.Timezone | None = Field(None, description="Instead of the site's.")
    keyboard: f.Keyboard | None = Field(None, description="Instead of the site's.")
    language: f.Language | None = Field(None, description="Instead of the site's.")
    nameservers: tuple[f.AnyAddress, ...] | None = Field(
        None, description="Instead of the site's; `[]` for none."
    )
    ntp: tuple[f.Host, ...] | None = Field(
        None, description="Instead of the site's; `[]` for none."
    )
    root_password_hash: PasswordHash | None = Field(None, description="Instead of the site's.")
    ssh_keys: tuple[f.SshKey, ...] = Field(
        (), description="Public keys that may log in as root, beside the site's."
    )
    system_arguments: tuple[f.KernelArgument, ...] = Field(
        (), description="Further kernel arguments of the installed system."
    )
    packages: tuple[f.Package, ...] = Field((), description="Packages, beside the profile's.")
    users: tuple[User, ...] = Field((), description="Accounts to create, beside the profile's.")
    commands: tuple[f.Command, ...] = Field(
        (), description="Shell commands, after the profile's; one line each."
    )


# By the YAML name of each field above, and of `network`, whose type differs between the kinds.
MERGE = {
    "profile": Merge.REPLACE,
    "console": Merge.REPLACE,
    "disk": Merge.REPLACE,
    "network": Merge.DEFAULTS,
    "arguments": Merge.APPEND,
    "variables": Merge.KEYS,
    "timeouts": Merge.KEYS,
    "domain": Merge.REPLACE,
    "timezone": Merge.REPLACE,
    "keyboard": Merge.REPLACE,
    "language": Merge.REPLACE,
    "nameservers": Merge.REPLACE,
    "ntp": Merge.REPLACE,
    "rootPasswordHash": Merge.REPLACE,
    "sshKeys": Merge.APPEND,
    "systemArguments": Merge.APPEND,
    "packages": Merge.APPEND,
    "users": Merge.APPEND,
    "commands": Merge.APPEND,
}
OF_SITE = (
    "domain",
    "timezone",
    "keyboard",
    "language",
    "nameservers",
    "ntp",
    "rootPasswordHash",
    "sshKeys",
)
OF_PROFILE = ("systemArguments", "packages", "users", "commands")
