"""Storage commands for Anaconda (Red Hat Enterprise Linux, "Kickstart commands", storage)."""

from __future__ import annotations

from goosed_daemon.infra.models import Disk
from goosed_daemon.render.quoting import Quoted, Unquotable, kickstart_word
from goosed_daemon.render.quoting import kickstart as word
from goosed_daemon.render.storage import Piece, layout

_ESP_OPTIONS = "--fsoptions=umask=0077,shortname=winnt"


def commands(disk: Disk, append: str) -> list[Quoted]:
    """The storage commands, quoted. `append` is the kernel command line of the new system."""
    drives = word(",".join(disk.devices))
    plan = layout(disk, "xfs")
    label = " --disklabel=gpt" if plan is not None else ""
    lines = [
        f"ignoredisk --only-use={drives}",
        "zerombr",
        f"clearpart --all --initlabel{label} --drives={drives}",
        f"bootloader --boot-drive={word(disk.device)}"
        + (f" --append={word(append)}" if append else ""),
    ]
    if plan is None:
        lines.append(f"autopart --type={word(disk.layout)}")
    else:
        if disk.firmware is None:
            lines.append("reqpart")  # what the firmware needs, whichever it is
        for number, piece in enumerate(plan.partitions, 1):
            lines += _partition(disk, piece, number)
        group = kickstart_word(disk.volume_group)
        if plan.volumes:
            lines.append(f"volgroup {group} pv.01")
        for piece in plan.volumes:
            size = f"--size={piece.mib}" + (" --grow" if piece.grow else "")
            name = f"--vgname={group} --name={word(piece.name)}"
            lines.append(f"logvol {_what(piece)} {name} {_type(piece)} {size}")
    return [Quoted(line) for line in lines]


def _partition(disk: Disk, piece: Piece, number: int) -> list[str]:
    size = f"--size={piece.mib}" + (" --grow" if piece.grow else "")
    if disk.mirror is None or piece.kind == "biosboot":
        return [
            " ".join(
                filter(None, ["part", _what(piece), _type(piece), size, f"--ondisk={word(device)}"])
            )
            for device in disk.devices
        ]
    halves = [f"raid.{number}{half}" for half in range(1, len(disk.devices) + 1)]
    lines = [
        f"part {half} {size} --ondisk={word(device)}"
        for half, device in zip(halves, disk.devices, strict=True)
    ]
    made = f"raid {_what(piece)} --device={word(piece.name)} --level=RAID1 {_type(piece)}".rstrip()
    return [*lines, f"{made} {' '.join(halves)}"]


def _what(piece: Piece) -> str:
    """What stands for it in a command: its mount point, or the word for what it is."""
    plain = {"swap": "swap", "biosboot": "biosboot", "pv": "pv.01"}
    if piece.kind not in plain and not piece.mount.startswith("/"):
        raise Unquotable(f"a kickstart would not take {piece.mount!r} for a mount point")
    return plain.get(piece.kind) or word(piece.mount)


def _type(piece: Piece) -> str:
    if piece.kind == "pv":
        return ""
    if piece.kind == "esp":
        return f"--fstype=efi {_ESP_OPTIONS}"
    return f"--fstype={word(piece.type or piece.kind)}"
