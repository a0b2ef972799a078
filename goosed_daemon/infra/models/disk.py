"""`Disk`: what is erased and installed on."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.part import Part

ESP = "/boot/efi"


class Filesystem(Part):
    """A file system, on a partition or a logical volume."""

    mount: f.MountPoint = Field(description="Where it is mounted, or `swap`.")
    size: f.Size = Field(
        description="`512M`, `20G` or `1T` (powers of 1024); with `grow`, at least."
    )
    grow: f.Boolean = Field(False, description="Takes what is left over.")
    type: Literal["ext4", "xfs"] | None = Field(
        None, description="Not set: `xfs` on RHEL, `ext4` on Debian."
    )
    name: f.VolumeName | None = Field(
        None, description="Name of its logical volume or mirror; not set: after `mount`."
    )
    partition: f.Boolean = Field(
        False, description="With `layout: lvm`: on a partition of its own, as `/boot` always is."
    )

    @model_validator(mode="after")
    def _type_fits(self) -> Self:
        if self.type is not None and self.mount in ("swap", ESP):
            raise ValueError(f"{self.mount} has no type to choose")
        return self

    @property
    def mib(self) -> int:
        """Its size in MiB."""
        return int(self.size[:-1]) * {"M": 1, "G": 1024, "T": 1024 * 1024}[self.size[-1]]

    @property
    def label(self) -> str:
        """Its name, or the one made of where it is mounted."""
        return self.name or {"/": "root"}.get(self.mount) or self.mount.strip("/").replace("/", "_")


class Disk(Part):
    """The disk that is erased and installed on."""

    device: f.Device = Field(
        description="Below /dev: `sda`, `nvme0n1`, `disk/by-id/...`. Only this disk is erased."
    )
    mirror: f.Device | None = Field(
        None, description="A second disk, erased as well, that holds the same (software RAID 1)."
    )
    layout: Literal["lvm", "plain"] = Field("lvm", description="Logical volumes, or partitions.")
    firmware: Literal["uefi", "bios"] | None = Field(
        None,
        description="What boots from it; not set: what the installer finds. `mirror` needs it.",
    )
    filesystems: tuple[Filesystem, ...] = Field(
        (), description="Not set: as the installer sees fit; with `mirror`, one that takes it all."
    )
    volume_group: f.VolumeName = Field("system", description="Name of the volume group.")

    @property
    def devices(self) -> tuple[str, ...]:
        """All disks that are erased."""
        return (self.device,) if self.mirror is None else (self.device, self.mirror)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.mirror is not None:
            if self.mirror == self.device:
                raise ValueError(f"{self.device} cannot be its own mirror")
            if self.firmware is None:
                raise ValueError("mirror needs firmware: uefi or bios")
        mounts = [one.mount for one in self.filesystems]
        if mounts and "/" not in mounts:
            raise ValueError("filesystems has no /")
        for what, found in (
            ("mounted", [mount for mount in mounts if mount != "swap"]),
            ("named", [one.label for one in self.filesystems]),
        ):
            twice = next((one for one in found if found.count(one) > 1), None)
            if twice is not None:
                raise ValueError(f"two of filesystems are {what} {twice}")
        if ESP in mounts and self.firmware != "uefi":
            raise ValueError(f"{ESP} needs firmware: uefi")
        return self
