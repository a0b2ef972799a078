"""`Disk`: what is erased and installed on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from goosed_daemon.infra import fields as f
from goosed_daemon.infra.models.part import Part


class Disk(Part):
    """The disk that is erased and installed on."""

    device: f.Device = Field(
        description="Below /dev: `sda`, `nvme0n1`, `disk/by-id/...`. Only this disk is erased."
    )
    layout: Literal["lvm", "plain"] = Field("lvm", description="Logical volumes, or partitions.")
