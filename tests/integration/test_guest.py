"""The guest is built from this machine's parts, the same each time, or says what it lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import guest as builder
from tests.integration.site import ROOT


def test_guest_has_the_same_bytes_wherever_and_whoever_builds_it(
    guest: Path, tmp_path: Path
) -> None:
    script = ROOT / "scripts" / "guest.py"
    environment = os.environ | {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"}
    command = [sys.executable, str(script), str(tmp_path / "again")]
    subprocess.run(command, env=environment, umask=0o077, check=True, capture_output=True)
    for name in ("initrd.img", "vmlinuz"):
        assert (tmp_path / "again" / name).read_bytes() == (guest / name).read_bytes()


def test_guest_without_a_kernel_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(builder.MissingPart, match="apt install linux-image-cloud-amd64"):
        builder.find_kernel(tmp_path, tmp_path)


def test_guest_without_the_network_module_says_so(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text("kernel/virtio_pci.ko.xz:\n")
    with pytest.raises(builder.MissingPart, match="no module virtio_net"):
        builder.load_order(tmp_path, builder.MODULES)


def test_modules_load_after_what_they_need_and_built_in_ones_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(
        "net/virtio-net.ko.zst: net/net_failover.ko.zst net/failover.ko.zst\n"
        "net/net_failover.ko.zst: net/failover.ko.zst\nnet/failover.ko.zst:\n"
    )
    (tmp_path / "modules.builtin").write_text("kernel/drivers/virtio/virtio_pci.ko\n")
    order = [path.name for path in builder.load_order(tmp_path, builder.MODULES)]
    assert order == ["failover.ko.zst", "net_failover.ko.zst", "virtio-net.ko.zst"]


def test_a_small_kernel_is_preferred_to_a_newer_large_one(tmp_path: Path) -> None:
    for release in ("6.1.0-9-amd64", "6.1.0-8-cloud-amd64"):
        (tmp_path / f"vmlinuz-{release}").write_bytes(b"kernel")
        (tmp_path / release).mkdir()
        (tmp_path / release / "modules.dep").touch()
    assert builder.find_kernel(tmp_path, tmp_path).modules.name == "6.1.0-8-cloud-amd64"
