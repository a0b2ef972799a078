"""`OSProfile`: what to install."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.disk import Disk
from goosed_daemon.infra.models.part import Kind
from goosed_daemon.infra.models.services import Firewall, Services
from goosed_daemon.infra.models.user import User
from goosed_daemon.infra.models.variable import Variable
from goosed_daemon.infra.models.windows import Windows, disk_contradiction

KICKSTART_RELEASES = ("rhel8", "rhel9", "rhel10")
PRESEED_RELEASES = ("debian12", "debian13")
UNATTEND_RELEASES = ("win11", "ws2022", "ws2025")


class OSProfile(Kind):
    """What to install: an installer, the content it is fed from, and what it is told."""

    kind: Literal["OSProfile"] = Field(description="Always `OSProfile`.")
    installer: Literal["kickstart", "preseed", "unattend"] = Field(
        description="`kickstart` for the RHEL family, `preseed` for Debian's, `unattend` for"
        " Windows."
    )
    release: Literal[
        "rhel8", "rhel9", "rhel10", "debian12", "debian13", "win11", "ws2022", "ws2025"
    ] = Field(description="The release; the rendered file is validated for it.")
    bundle: f.Name = Field(description="The imported bundle that holds the content below.")
    kernel: f.ContentPath = Field(
        description="The installer's kernel, a path in the bundle; for Windows `wimboot`."
    )
    initrd: Annotated[tuple[f.ContentPath, ...], f.OneOrMore, f.AtLeastOne] = Field(
        description="The installer's initial ramdisk, or several in order; for Windows `boot.wim`."
    )
    repo: f.ContentPath = Field(
        description="The folder in the bundle to install from: an installation tree, or a mirror;"
        " for Windows what its medium has."
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
    weak_dependencies: f.Boolean = Field(
        True, description="Whether what packages merely recommend is installed too."
    )
    services: Services = Field(Services(), description="What starts with the system, and what not.")
    firewall: Firewall = Field(Firewall(), description="What may reach the system (kickstart).")
    users: tuple[User, ...] = Field((), description="Accounts to create.")
    selinux: Literal["enforcing", "permissive", "disabled"] = Field(
        "enforcing", description="SELinux mode (kickstart)."
    )
    commands: tuple[f.Command, ...] = Field(
        (),
        description="Shell commands run in the new system, last, as root; one line each. PowerShell"
        " on Windows, as SYSTEM.",
    )
    variables: dict[f.VariableName, Variable] = Field(
        {}, description="The variables that site, groups and machines may set for the `commands`."
    )
    timeouts: dict[f.Step, f.Span] = Field(
        {},
        description="How long a machine may be in a step of its workflow, such as"
        " `installing: 4h`, before that counts as a failure; else the usual (workflows.md).",
    )

    agent: bool = Field(
        True, description="Whether the installed system gets the agent, which says it is alive."
    )
    windows: Windows | None = Field(
        None, validate_default=True, description="What only Windows is told; with `unattend`."
    )

    @field_validator("release")
    @classmethod
    def _release_fits(cls, release: str, info: ValidationInfo) -> str:
        installer = info.data.get("installer")
        fitting = {
            "kickstart": KICKSTART_RELEASES,
            "preseed": PRESEED_RELEASES,
            "unattend": UNATTEND_RELEASES,
        }
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

    @field_validator("selinux", "firewall")
    @classmethod
    def _installer_knows(cls, value: object, info: ValidationInfo) -> object:
        if info.data.get("installer") == "preseed":
            raise ValueError("means nothing to preseed, only to kickstart")
        return value

    @field_validator(
        "arguments",
        "system_arguments",
        "packages",
        "weak_dependencies",
        "services",
        "firewall",
        "users",
        "selinux",
    )
    @classmethod
    def _means_something(cls, value: object, info: ValidationInfo) -> object:
        if info.data.get("installer") == "unattend":
            raise ValueError("means nothing to Windows")
        return value

    @field_validator("initrd")
    @classmethod
    def _one_wim(cls, paths: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("installer") == "unattend" and len(paths) != 1:
            raise ValueError("Windows boots from one file, boot.wim")
        return paths

    @field_validator("disk")
    @classmethod
    def _disk_fits(cls, disk: Disk, info: ValidationInfo) -> Disk:
        if info.data.get("installer") == "unattend":
            if wrong := disk_contradiction(disk):
                raise ValueError(wrong)
            if disk.firmware == "bios" and info.data.get("release") == "win11":
                raise ValueError("Windows 11 needs firmware: uefi")
        return disk

    @field_validator("windows")
    @classmethod
    def _windows_fits(cls, windows: Windows | None, info: ValidationInfo) -> Windows | None:
        installer = info.data.get("installer")
        if installer == "unattend" and windows is None:
            raise ValueError("is needed by unattend: the image and Administrator's password")
        if installer not in (None, "unattend") and windows is not None:
            raise ValueError(f"means nothing to {installer}, only to unattend")
        return windows
