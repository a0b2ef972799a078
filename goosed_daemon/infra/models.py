"""The kinds of infra profiles. Their fields are listed in docs/profiles.md, made from here."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from goosed_daemon.infra import fields as f

KICKSTART_RELEASES = ("rhel8", "rhel9", "rhel10")
PRESEED_RELEASES = ("debian12", "debian13")


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=False
    )


class _Kind(_Part):
    api_version: Literal["goose/v1"] = Field(description="Always `goose/v1`.")
    name: f.Name = Field(description="Its name, unique among its kind.")


class Site(_Kind):
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
    root_password_hash: f.PasswordHash | None = Field(
        None, description="Root's password hash (crypt); not set: root has no password."
    )
    ssh_keys: tuple[f.SshKey, ...] = Field((), description="Public keys that may log in as root.")


class Disk(_Part):
    """The disk that is erased and installed on."""

    device: f.Device = Field(
        description="Below /dev: `sda`, `nvme0n1`, `disk/by-id/...`. Only this disk is erased."
    )
    layout: Literal["lvm", "plain"] = Field("lvm", description="Logical volumes, or partitions.")


class User(_Part):
    """An account."""

    name: f.UserName = Field(description="Login name.")
    groups: tuple[f.UserName, ...] = Field((), description="Further groups, such as `wheel`.")
    password_hash: f.PasswordHash | None = Field(
        None, description="Password hash (crypt); not set: no password."
    )
    ssh_keys: tuple[f.SshKey, ...] = Field((), description="Public keys that may log in.")


class OSProfile(_Kind):
    """What to install: an installer, the content it is fed from, and what it is told."""

    kind: Literal["OSProfile"] = Field(description="Always `OSProfile`.")
    installer: Literal["kickstart", "preseed"] = Field(
        description="`kickstart` for the RHEL family, `preseed` for the Debian family."
    )
    release: Literal["rhel8", "rhel9", "rhel10", "debian12", "debian13"] = Field(
        description="The release; the rendered file is validated for it."
    )
    bundle: f.Name = Field(description="The imported bundle that holds the content below.")
    kernel: f.ContentPath = Field(description="The installer's kernel, a path in the bundle.")
    initrd: Annotated[tuple[f.ContentPath, ...], f.OneOrMore, f.AtLeastOne] = Field(
        description="The installer's initial ramdisk, or several in order."
    )
    repo: f.ContentPath = Field(
        description="The folder in the bundle to install from: an installation tree, or a mirror."
    )
    disk: Disk = Field(description="The disk that is erased and installed on.")
    arguments: tuple[f.KernelArgument, ...] = Field(
        (), description="Further kernel arguments of the installer."
    )
    system_arguments: tuple[f.KernelArgument, ...] = Field(
        (), description="Further kernel arguments of the installed system."
    )
    packages: tuple[f.Package, ...] = Field(
        (), description="Packages; kickstart also knows `@group`, `@^environment`, `-without`."
    )
    users: tuple[User, ...] = Field((), description="Accounts to create.")
    selinux: Literal["enforcing", "permissive", "disabled"] = Field(
        "enforcing", description="SELinux mode (kickstart)."
    )
    commands: tuple[f.Command, ...] = Field(
        (), description="Shell commands run in the new system, last, as root; one line each."
    )

    @field_validator("release")
    @classmethod
    def _release_fits(cls, release: str, info: ValidationInfo) -> str:
        installer = info.data.get("installer")
        fitting = {"kickstart": KICKSTART_RELEASES, "preseed": PRESEED_RELEASES}
        if installer is not None and release not in fitting[installer]:
            raise ValueError(f"{release} is not installed by {installer}")
        return release

    @field_validator("packages")
    @classmethod
    def _packages_fit(cls, packages: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("installer") == "preseed":
            for package in packages:
                if not package[0].isalnum() or "*" in package:
                    raise ValueError(f"{package!r} means nothing to preseed, only to kickstart")
        return packages

    @field_validator("users")
    @classmethod
    def _users_differ(cls, users: tuple[User, ...]) -> tuple[User, ...]:
        names = [user.name for user in users]
        for name in names:
            if name == "root" or names.count(name) > 1:
                raise ValueError(f"the user {name!r} is there already")
        return users

    @field_validator("selinux")
    @classmethod
    def _selinux_fits(cls, mode: str, info: ValidationInfo) -> str:
        if info.data.get("installer") == "preseed":
            raise ValueError("means nothing to preseed, only to kickstart")
        return mode


class Network(_Part):
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


class Machine(_Kind):
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


KINDS: dict[str, type[Site | OSProfile | Machine]] = {
    "Site": Site,
    "OSProfile": OSProfile,
    "Machine": Machine,
}
