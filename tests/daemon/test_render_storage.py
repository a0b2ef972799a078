"""Disks that a profile lays out: what each installer is told, read back by who will read it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from bundles.errors import GooseError
from goosed_daemon.infra.models import Disk
from goosed_daemon.render import kickstart, partman, preseed
from tests.daemon.infra_site import (
    EITHER_FIRMWARE,
    MIRROR,
    PLAIN_MIRROR,
    VOLUMES,
    boot,
    machine,
    profile,
    stored,
)
from tests.daemon.readers import preseed_values
from tests.daemon.test_render_attacks import HOSTILE, kickstart_options, nasty, preseed_shape

DISKS = [VOLUMES, MIRROR, PLAIN_MIRROR, EITHER_FIRMWARE]
LVM = {"device": "sda", "filesystems": [{"mount": "/", "size": "9G"}]}


def handler(disk: dict[str, Any], release: str) -> Any:
    """What pykickstart makes of a kickstart."""
    from pykickstart.parser import KickstartParser
    from pykickstart.version import makeVersion

    parser = KickstartParser(makeVersion(release.upper()))
    parser.readKickstartFromString(kickstart.render(stored(disk, release)))
    return parser.handler


@pytest.mark.parametrize("release", ["rhel8", "rhel9", "rhel10"])
def test_pykickstart_reads_the_volumes(release: str) -> None:
    found = handler(VOLUMES, release)
    assert {(p.mountpoint, p.fstype, p.size, p.grow) for p in found.partition.partitions} == {
        ("/boot/efi", "efi", 600, False),
        ("/boot", "ext4", 2048, False),
        ("/scratch", "xfs", 8192, False),
        ("pv.01", "", 20480 + 10240 + 1048576 + 4096 + 8, True),
    }
    assert {p.disk for p in found.partition.partitions} == {"disk/by-id/nvme-X"}
    assert {(v.mountpoint, v.name, v.vgname, v.fstype, v.size) for v in found.logvol.lvList} == {
        ("/", "root", "system", "xfs", 20480),
        ("/var", "var", "system", "xfs", 10240),
        ("/srv/data", "data", "system", "ext4", 1048576),
        ("swap", "swap", "system", "swap", 4096),
    }
    assert [v.mountpoint for v in found.logvol.lvList if v.grow] == ["/var"]


@pytest.mark.parametrize("release", ["rhel8", "rhel9", "rhel10"])
def test_pykickstart_reads_both_halves_of_each_mirror(release: str) -> None:
    found = handler(MIRROR, release)
    halves = {p.mountpoint: p.disk for p in found.partition.partitions}
    arrays = {r.mountpoint: r for r in found.raid.raidList}
    assert arrays.keys() == {"/boot/efi", "/boot", "pv.01"}
    for array in arrays.values():
        assert str(array.level).upper() == "RAID1"
        assert [halves[half] for half in array.members] == ["disk/by-id/ata-A", "disk/by-id/ata-B"]
    assert arrays["/boot/efi"].fstype == "efi"


@pytest.mark.parametrize("disk", DISKS)
def test_only_the_named_disks_are_touched(disk: dict[str, Any]) -> None:
    devices = list(Disk.model_validate(disk).devices)
    text = kickstart.render(stored(disk, "rhel9"))
    assert f"ignoredisk --only-use={','.join(devices)}\n" in text
    assert re.search(r"^clearpart .* --drives=(\S+)$", text, re.MULTILINE)[1].split(",") == devices  # type: ignore[index]
    assert set(re.findall(r"--ondisk=(\S+)", text)) == set(devices)
    values = preseed_values(preseed.render(stored(disk, "debian12")))
    wanted = [f"/dev/{device}" for device in devices]
    assert values["partman-auto/disk"][2].split() == wanted
    assert values["grub-installer/bootdev"][2].split() == wanted
    for release in ("rhel9", "debian12"):
        assert "It erases the disk" in (head := head_of(release, disk)), head
        assert all(device in head for device in devices)


def head_of(release: str, disk: dict[str, Any]) -> str:
    render = kickstart.render if release == "rhel9" else preseed.render
    return render(stored(disk, release)).split("\n", 2)[1]


def read_recipe(text: str, reading: str) -> list[tuple[int, int, str, dict[str, str]]]:
    """The partitions of a recipe: partman-auto's recipes.sh, decode_recipe().

    `reading` is `default`, or `lvm` for the pass that makes the volumes; a partition that says
    `$...ignore` is not for that pass.
    """
    name, _, rest = text.partition(" :: ")
    assert name == "goose"
    found = []
    words = rest.split()
    while words:
        end = words.index(".")
        entry, words = words[:end], words[end + 1 :]
        least, priority, most = map(int, entry[:3])
        assert priority >= least and (most == -1 or most >= least)
        assert entry[3] in ("free", "ext4", "xfs", "linux-swap")
        how = dict(re.findall(r"(\S+)\{ ?(\S*?) ?\}", " ".join(entry[4:])))
        if f"${reading}ignore" not in how:
            found.append((least, most, entry[3], how))
    return found


def recipe(disk: dict[str, Any]) -> str:
    return preseed_values(preseed.render(stored(disk, "debian12")))["partman-auto/expert_recipe"][2]


def test_partman_reads_the_volumes() -> None:
    read = read_recipe(recipe(VOLUMES), "lvm")
    volumes = {how["lv_name"]: how.get("mountpoint") for *_, how in read if "$lvmok" in how}
    assert volumes == {"root": "/", "var": "/var", "data": "/srv/data", "swap": None}
    outside = [how.get("mountpoint", how["method"]) for *_, how in read if "$lvmok" not in how]
    assert outside == ["efi", "/boot", "/scratch"]
    assert [most for _, most, _, how in read if how.get("mountpoint") == "/var"] == [-1]
    assert read[0][0] == 630, "600 MiB in partman's megabytes, of 1,000,000 bytes"


def test_partman_makes_mirrors_first_and_volumes_on_them() -> None:
    disks = read_recipe(recipe(MIRROR), "default")
    assert [(how["method"], how.get("raidid")) for *_, how in disks] == [
        ("efi", None),
        ("raid", "2"),
        ("raid", "3"),
    ]
    volumes = [how["lv_name"] for *_, how in read_recipe(recipe(MIRROR), "lvm") if "$lvmok" in how]
    assert volumes == ["root", "home"]
    values = preseed_values(preseed.render(stored(MIRROR, "debian12")))
    assert values["partman-auto-raid/recipe"][2] == (
        "1 2 0 ext4 /boot raidid=2 . 1 2 0 lvm - raidid=3 ."
    )
    assert values["partman-auto-lvm/new_vg_name"][2] == "vg0"


def test_an_unknown_firmware_finds_its_own_boot_partition() -> None:
    assert "reqpart\n" in kickstart.render(stored(EITHER_FIRMWARE, "rhel9"))
    methods = [how["method"] for *_, how in read_recipe(recipe(EITHER_FIRMWARE), "default")]
    assert methods == ["efi", "biosgrub", "format", "swap"]


def test_disks_by_id_get_the_kernels_names_before_partman_looks(tmp_path: Path) -> None:
    (tmp_path / "sdx").touch()
    (tmp_path / "by-id").mkdir()
    for name in "AB":
        (tmp_path / "by-id" / f"ata-{name}").symlink_to("../sdx")
    command = partman.resolve(Disk.model_validate(MIRROR)).replace("/dev/disk", str(tmp_path))
    stub = tmp_path / "debconf-set"
    stub.write_text(f"#!/bin/sh\nprintf '%s=%s\\n' \"$@\" >>{tmp_path}/set\n")
    stub.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["dash", "-euc", command], check=True, env={"PATH": path})
    kernel = f"{tmp_path}/sdx {tmp_path}/sdx\n"
    assert (tmp_path / "set").read_text() == (
        f"partman-auto/disk={kernel}grub-installer/bootdev={kernel}"
    )
    assert partman.resolve(Disk.model_validate(PLAIN_MIRROR)) == ""


def test_a_mirrors_second_disk_can_be_booted_from_too(tmp_path: Path) -> None:
    (tmp_path / "efi" / "EFI" / "debian").mkdir(parents=True)
    (tmp_path / "efi" / "EFI" / "debian" / "shimx64.efi").write_text("shim")
    for name, text in {
        # As lsblk of util-linux 2.38 printed it.
        "lsblk": "printf '%s\\n' '/dev/sdb  ' '/dev/sdb1 c12a7328-f81f-11d2-ba4b-00a0c93ec93b'"
        " '/dev/sdb2 a19d880f-05fc-4d3b-a006-743f0f84911e'; echo lsblk \"$@\" >>$S/called",
        "mount": 'echo mount "$@" >>$S/called',
        "umount": 'ls -R "$1" >$S/copied; rm -r "$1"/*',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    script = "\n".join(partman.script(Disk.model_validate(MIRROR)))
    script = script.replace("/boot/efi", f"{tmp_path}/efi").replace("/mnt/", f"{tmp_path}/")
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["dash", "-euc", script], check=True, env={"PATH": path, "S": str(tmp_path)})
    assert (tmp_path / "called").read_text().splitlines() == [
        "lsblk -lnpo NAME,PARTTYPE /dev/disk/by-id/ata-B",
        f"mount /dev/sdb1 {tmp_path}/other-esp",
    ]
    assert "shimx64.efi" in (tmp_path / "copied").read_text()
    assert partman.script(Disk.model_validate(PLAIN_MIRROR)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mirror": "sda"}, "sda cannot be its own mirror"),
        ({"mirror": "sdb"}, "mirror needs firmware"),
        ({"filesystems": [{"mount": "/var", "size": "9G"}]}, "filesystems has no /"),
        ({"filesystems": [{"mount": "/", "size": "9"}]}, "'9' is not a size"),
        ({"filesystems": [{"mount": "/", "size": "0G"}]}, "'0G' is not a size"),
        ({"filesystems": [{"mount": "var", "size": "9G"}]}, "'var' is not where a file system"),
        ({"filesystems": [{"mount": "/../x", "size": "9G"}]}, "is not where a file system"),
        ({"filesystems": [{"mount": "/ x", "size": "9G"}]}, "is not where a file system"),
        ({"filesystems": [*LVM["filesystems"], {"mount": "/", "size": "9G", "name": "x"}]},
         "two of filesystems are mounted /"),
        ({"filesystems": [*LVM["filesystems"], {"mount": "/root", "size": "9G"}]},
         "two of filesystems are named root"),
        ({"filesystems": [*LVM["filesystems"], {"mount": "/boot/efi", "size": "1G"}]},
         "/boot/efi needs firmware: uefi"),
        ({"filesystems": [*LVM["filesystems"], {"mount": "swap", "size": "1G", "type": "xfs"}]},
         "swap has no type to choose"),
        ({"volumeGroup": "a b"}, "is not a volume's name"),
    ],
)  # fmt: skip
def test_mistake_in_a_disk(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        Disk.model_validate(LVM | changes)


@given(HOSTILE)
@nasty
def test_no_text_of_a_disk_breaks_out_of_its_line(value: str) -> None:
    for base in (VOLUMES, MIRROR):
        disk = Disk.model_validate(base)
        first = disk.filesystems[-2].model_copy(update={"mount": value})
        named = disk.filesystems[-2].model_copy(update={"name": value})
        *others, _, last = disk.filesystems
        for update in (
            {"device": value},
            {"mirror": value} if base is MIRROR else {"volume_group": value},
            {"filesystems": (*others, first, last)},
            {"filesystems": (*others, named, last)},
        ):
            changed = machine().model_copy(update={"disk": disk.model_copy(update=update)})
            for release, render, shape in (
                ("rhel9", kickstart.render, kickstart_options),
                ("debian12", preseed.render, preseed_recipe),
            ):
                try:
                    text = render(boot(to=profile(release), on=changed))
                except GooseError:
                    continue
                if value:
                    assert shape(text) == shape(render(stored(base, release)))


def preseed_recipe(text: str) -> list[Any]:
    """The questions, and how partman reads the recipe, without the values."""
    recipe = preseed_values(text)["partman-auto/expert_recipe"][2]
    read = [(*sizes, list(how)) for *sizes, how in read_recipe(recipe, "lvm")]
    return [*preseed_shape(text), *read]
