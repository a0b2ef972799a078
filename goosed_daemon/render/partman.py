"""Answers for partman, the partitioner of the Debian installer.

(Debian installer, doc/devel/partman-auto-recipe.txt and partman-auto-raid-recipe.txt; what is said
below of how recipes are read is from partman-auto's recipes.sh.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from goosed_daemon.infra.models import Disk
from goosed_daemon.render.quoting import Quoted, partman, preseed, shell
from goosed_daemon.render.storage import ESP_MIB, Layout, Piece, layout

_ESP_TYPE = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"  # UEFI specification, section 5.3.3


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of the preseed, its value quoted."""

    question: str
    kind: str
    value: Quoted


def answers(disk: Disk) -> Iterator[Answer]:
    """How the disks are laid out."""
    plan = layout(disk, "ext4")
    devices = preseed(" ".join(f"/dev/{device}" for device in disk.devices))
    method = "raid" if disk.mirror is not None else "lvm" if disk.layout == "lvm" else "regular"
    yield Answer("partman-auto/disk", "string", devices)
    yield Answer("partman-auto/method", "string", Quoted(method))
    if disk.mirror is not None and disk.firmware == "uefi":
        # Firmware whose entry for the first disk leads nowhere looks for this on the second.
        yield Answer("grub-installer/force-efi-extra-removable", "boolean", Quoted("true"))
    if plan is None:
        yield Answer("partman-auto/choose_recipe", "select", Quoted("atomic"))
    else:
        yield Answer("partman-partitioning/default_label", "string", Quoted("gpt"))
        yield Answer("partman-partitioning/choose_label", "select", Quoted("gpt"))
        yield Answer("partman-auto/expert_recipe", "string", _recipe(disk, plan))
        if disk.mirror is not None:
            yield Answer("partman-auto-raid/recipe", "string", _raid(plan))
        if plan.volumes:
            yield Answer("partman-auto-lvm/new_vg_name", "string", preseed(disk.volume_group))


def resolve(disk: Disk) -> str:
    """Shell for `partman/early_command`: partman and the boot loader's installer know disks by the
    kernel's names alone. Empty where these were given."""
    if not any("/" in device for device in disk.devices):
        return ""
    names = " ".join(f"$(readlink -f {shell(f'/dev/{device}')})" for device in disk.devices)
    return f'disks="{names}"; ' + "; ".join(
        f'debconf-set {question} "$disks"'
        for question in ("partman-auto/disk", "grub-installer/bootdev")
    )


def script(disk: Disk) -> list[Quoted]:
    """Shell for the new system: a mirror's second disk gets what the firmware starts from, too."""
    if disk.mirror is None or disk.firmware != "uefi":
        return []
    listed = f"lsblk -lnpo NAME,PARTTYPE {shell(f'/dev/{disk.mirror}')}"
    lines = (
        f"other=$({listed} | sed -n 's/ *{_ESP_TYPE}.*//p' | head -n 1)",
        "mkdir -p /mnt/other-esp",
        'mount "$other" /mnt/other-esp',
        "cp -r /boot/efi/. /mnt/other-esp/",
        "umount /mnt/other-esp",
        "rmdir /mnt/other-esp",
    )
    return [Quoted(line) for line in lines]


def _recipe(disk: Disk, plan: Layout) -> Quoted:
    """One line: a name, `::`, and for each partition least, priority and most megabytes (of 10^6
    bytes; -1: no limit), file system and what to do with it, up to a dot."""
    pieces = [*_unknown_firmware(disk), *plan.partitions]
    if disk.mirror is None:
        # Without one that is named, partman makes the partition of the volume group by itself.
        pieces = [piece for piece in pieces if piece.kind != "pv"]
    entries = []
    for number, piece in enumerate(pieces, 1):
        mirrored = disk.mirror is not None and piece.kind not in ("esp", "biosboot")
        entries.append(_entry(piece, _mirrored(number) if mirrored else _partition(piece)))
    for piece in plan.volumes:
        # On a mirror the disks are laid out first, by a reading that must see no volumes.
        later = "$defaultignore{ } " if disk.mirror is not None else ""
        how = f"{later}$lvmok{{ }} lv_name{{ {partman(piece.name)} }} {_partition(piece)}"
        entries.append(_entry(piece, how))
    return preseed(f"goose :: {' '.join(entries)}")


def _unknown_firmware(disk: Disk) -> list[Piece]:
    """Both kinds of boot partition: each firmware takes its own and lets the other be."""
    if disk.firmware is not None:
        return []
    return [Piece("esp", "esp", "", ESP_MIB), Piece("biosboot", "biosboot", "", 1)]


def _entry(piece: Piece, how: str) -> str:
    least = -(-piece.mib * 1048576 // 1000000)
    sizes = f"{least} {least + 10000} -1" if piece.grow else f"{least} {least} {least}"
    kinds = {"esp": "free", "biosboot": "free", "swap": "linux-swap", "pv": "ext4"}
    return f"{sizes} {kinds.get(piece.kind) or partman(piece.type)} {how} ."


def _partition(piece: Piece) -> str:
    if piece.kind == "esp":
        return "$iflabel{ gpt } method{ efi } format{ }"
    if piece.kind == "biosboot":
        return "$iflabel{ gpt } method{ biosgrub }"
    if piece.kind == "swap":
        return "method{ swap } format{ }"
    kind, mount = partman(piece.type), partman(piece.mount)
    return (
        f"method{{ format }} format{{ }} use_filesystem{{ }} filesystem{{ {kind} }}"
        f" mountpoint{{ {mount} }}"
    )


def _mirrored(number: int) -> str:
    return f"$lvmignore{{ }} method{{ raid }} raidid{{ {number} }}"


def _raid(plan: Layout) -> Quoted:
    """For each array: level, disks, spares, file system, mount point, members, and a dot."""
    arrays = []
    for number, piece in enumerate(plan.partitions, 1):
        if piece.kind == "pv":
            arrays.append(f"1 2 0 lvm - raidid={number} .")
        elif piece.kind == "swap":
            arrays.append(f"1 2 0 swap - raidid={number} .")
        elif piece.kind == "filesystem":
            kind, mount = partman(piece.type), partman(piece.mount)
            arrays.append(f"1 2 0 {kind} {mount} raidid={number} .")
    return preseed(" ".join(arrays))
