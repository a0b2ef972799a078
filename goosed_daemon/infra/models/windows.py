"""`Windows`: what only the installation of Windows is told."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, model_validator

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.disk import Disk
from goosed_daemon.infra.models.part import Part
from goosed_daemon.infra.models.secret import SecretRef
from goosed_daemon.infra.models.selector import Selector

_FILE = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,30}")  # wimboot, src/vdisk.h, VDISK_NAME_LEN


class Image(Part):
    """Which image of which file is applied to the disk."""

    path: f.ContentPath = Field(
        "sources/install.wim", description="The WIM file, a path below `repo`."
    )
    name: f.Line | None = Field(
        None, description="The image's name in it, as `dism /Get-ImageInfo` tells."
    )
    index: f.Integer | None = Field(None, ge=1, le=999, description="Its number, instead.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.name is None) == (self.index is None):
            raise ValueError("needs exactly one of name, index")
        return self


class Driver(Part):
    """A driver for WinPE and for the installed system."""

    files: tuple[f.ContentPath, ...] = Field(
        min_length=1, description="All of its files in the bundle: the `.inf` and what that names."
    )
    machines: Selector = Field(
        Selector(), description="The machines that need it, by their labels; not set: all."
    )

    @model_validator(mode="after")
    def _has_inf(self) -> Self:
        if not any(path.lower().endswith(".inf") for path in self.files):
            raise ValueError("none of its files is an .inf")
        names = [path.rpartition("/")[2].lower() for path in self.files]
        if bad := next((name for name in names if not _FILE.fullmatch(name)), None):
            raise ValueError(f"{bad} is no name for wimboot: at most 31 letters, digits, _.-")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two of its files are called {twice}")
        return self


class Windows(Part):
    """What only the installation of Windows is told."""

    image: Image = Field(description="The image that is applied.")
    administrator_password: SecretRef = Field(
        description="The password of Administrator, by reference only: Windows takes no hash."
    )
    product_key: SecretRef | None = Field(
        None, description="The product key, by reference; not set: the image's own, or none."
    )
    organization: f.Line | None = Field(None, description="Whom the system is registered to.")
    drivers: tuple[Driver, ...] = Field((), description="Drivers that Windows does not have.")
    curl: f.ContentPath | None = Field(
        None, description="`curl.exe` in the bundle; not set: `boot.wim` has it already."
    )


def disk_contradiction(disk: Disk) -> str | None:
    """What of `disk` means nothing to Windows, in words."""
    if not (disk.device.isascii() and disk.device.isdigit()):
        return f'Windows knows disks by their number, such as device: "0", not {disk.device}'
    if disk.firmware is None:
        return "Windows needs firmware: uefi or bios"
    for name in ("mirror", "layout", "filesystems", "volume_group"):
        if name in disk.model_fields_set:
            return f"{name.replace('_g', 'G')} means nothing to Windows, which takes the whole disk"
    return None
