"""What a machine's `disk` comes to: partitions and volumes, for each installer to be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from goosed_daemon.infra.models import ESP, Disk, Filesystem

BOOT_MIB = 1024
ESP_MIB = 600
EXTENT_MIB = 4  # of LVM: each volume is a whole number of these


@dataclass(frozen=True, slots=True)
class Piece:
    """A partition or logical volume."""

    kind: Literal["filesystem", "swap", "esp", "biosboot", "pv"]
    name: str
    mount: str  # empty where there is nothing to mount
    mib: int
    grow: bool = False
    type: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """All of a disk, in order."""

    partitions: tuple[Piece, ...]
    volumes: tuple[Piece, ...]


def layout(disk: Disk, default_type: str) -> Layout | None:
    """The layout of `disk`; None where the installer lays it out by itself.

    With firmware that is not known the boot partitions are left to the installer.
    """
    given = disk.filesystems
    if not given:
        if disk.mirror is None:
            return None
        given = (Filesystem.model_validate({"mount": "/", "size": "4G", "grow": "true"}),)
    lvm = disk.layout == "lvm"
    if lvm and not any(one.mount == "/boot" for one in given):
        boot = Filesystem.model_validate({"mount": "/boot", "size": f"{BOOT_MIB}M"})
        given = (boot, *given)
    on_partition = [one for one in given if not lvm or _stays_outside(one)]
    partitions = [*_boot_partitions(disk), *(_piece(one, default_type) for one in on_partition)]
    volumes = [_piece(one, default_type) for one in given if one not in on_partition]
    if volumes:
        whole = sum(-(-one.mib // EXTENT_MIB) * EXTENT_MIB for one in volumes)
        partitions.append(Piece("pv", "pv", "", whole + 2 * EXTENT_MIB, grow=True))
    # The ESP first: some firmware looks no further.
    return Layout(tuple(sorted(partitions, key=lambda one: one.kind != "esp")), tuple(volumes))


def _stays_outside(one: Filesystem) -> bool:
    return one.partition or one.mount == "/boot" or one.mount.startswith("/boot/")


def _boot_partitions(disk: Disk) -> list[Piece]:
    if disk.firmware == "bios":
        return [Piece("biosboot", "biosboot", "", 1)]
    if disk.firmware == "uefi" and not any(one.mount == ESP for one in disk.filesystems):
        return [Piece("esp", "esp", ESP, ESP_MIB)]
    return []


def _piece(one: Filesystem, default_type: str) -> Piece:
    if one.mount == "swap":
        return Piece("swap", one.label, "", one.mib, one.grow, "swap")
    if one.mount == ESP:
        return Piece("esp", one.label, ESP, one.mib, one.grow)
    return Piece("filesystem", one.label, one.mount, one.mib, one.grow, one.type or default_type)
