"""The real parts that tests run against, and what happens where one is missing.

A test asks for a part and gets its path. On a laptop without it the test skips and names the
command that installs it; with CI=true it fails, so that nothing goes untested unseen.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent / "tools"
STACK = Path(__file__).parent / "stack" / "tools"
INSTALL = "sudo make parts"
INSTALL_STACK = "make stack-parts"


@dataclass(frozen=True, slots=True)
class Part:
    """How to find a part, and what it comes from: a line of tests/tools/packages.txt or a tool."""

    source: str
    find: Callable[[], Path | None]


def part(name: str) -> Path:
    """The path of the part `name`; ends the test where this machine lacks it."""
    found = PARTS[name].find()
    if found is None:
        source = PARTS[name].source
        command = INSTALL_STACK if source.startswith("tests/stack") else INSTALL
        why = f"{name} is missing (from {source}): {command} installs it"
        if in_ci():
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
    return found


def in_ci() -> bool:
    """Whether this run decides over a change, so that nothing may be left out."""
    return os.environ.get("CI") == "true"


def cache() -> Path:
    """Where scripts/install-test-tools.sh keeps what it builds."""
    if named := os.environ.get("GOOSE_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "goose"


def _command(name: str) -> Callable[[], Path | None]:
    # Debian keeps daemons in /usr/sbin, which is not on everyone's PATH.
    search = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return lambda: Path(found) if (found := shutil.which(name, path=search)) else None


def _file(*patterns: str) -> Callable[[], Path | None]:
    """The first readable file that matches one of `patterns`, the newest version first."""

    def find() -> Path | None:
        for pattern in patterns:
            for path in sorted(Path("/").glob(pattern.removeprefix("/")), key=_version)[::-1]:
                if os.access(path, os.R_OK):
                    return path
        return None

    return find


def _version(path: Path) -> list[tuple[int, str]]:
    return [(int(n or 0), text) for n, text in re.findall(r"(\d+)|(\D+)", str(path))]


def _tool(module: Path, name: str | None = None) -> Callable[[], Path | None]:
    """A tool built from the module, of exactly the bytes that are pinned there."""

    def find() -> Path | None:
        files = sorted(path for path in module.rglob("*") if path.is_file())
        pinned = b"".join(path.read_bytes() for path in files if path.name != "go.mod")
        digest = hashlib.sha256(pinned).hexdigest()[:12]
        pattern = f"tools/{module.name}-*-{digest}/{name or module.name}"
        return next(cache().glob(pattern), None)

    return find


def _stack(module: str, name: str | None = None) -> Part:
    return Part(f"tests/stack/tools/{module}", _tool(STACK / module, name))


_DI = "debian-installer-12-netboot-amd64|debian-installer-13-netboot-amd64"
_DI_FILES = "/usr/lib/debian-installer/images/*/amd64/text/debian-installer/amd64"
_KERNEL = "linux-image-cloud-amd64|linux-image-virtual"

PARTS = {
    "age": Part("age", _command("age")),
    "busybox": Part("busybox-static", _command("busybox")),
    "chromium": Part("chromium", _command("chromium")),
    "CNI plugins": Part("containernetworking-plugins", _file("/usr/lib/cni/bridge")),
    "containerd": Part("containerd", _command("containerd")),
    "cpio": Part("cpio", _command("cpio")),
    "crane": Part("tests/tools/crane", _tool(TOOLS / "crane")),
    "ctr": Part("containerd", _command("ctr")),
    "curl": Part("curl", _command("curl")),
    "dash": Part("dash", _command("dash")),
    "debian-installer initrd": Part(_DI, _file(f"{_DI_FILES}/initrd.gz")),
    "debian-installer kernel": Part(_DI, _file(f"{_DI_FILES}/linux")),
    "debconf-set-selections": Part("debconf", _command("debconf-set-selections")),
    "docker-registry": Part("docker-registry", _command("docker-registry")),
    "dpkg": Part("dpkg", _command("dpkg")),
    "dpkg-deb": Part("dpkg", _command("dpkg-deb")),
    "gcc": Part("gcc", _command("gcc")),
    "genisoimage": Part("genisoimage", _command("genisoimage")),
    "git": Part("git", _command("git")),
    "groff": Part("groff-base", _command("groff")),
    "grub-mkimage": Part("grub-common", _command("grub-mkimage")),
    "grub-script-check": Part("grub-common", _command("grub-script-check")),
    "GRUB modules": Part("grub-efi-amd64-bin", _file("/usr/lib/grub/x86_64-efi/moddep.lst")),
    "gzip": Part("gzip", _command("gzip")),
    "initdb": Part("postgresql", _file("/usr/lib/postgresql/*/bin/initdb", "/usr/bin/initdb")),
    "ipxe.lkrn": Part("ipxe", _file("/usr/lib/ipxe/ipxe.lkrn", "/boot/ipxe.lkrn")),
    "ip": Part("iproute2", _command("ip")),
    "iptables": Part("iptables", _command("iptables")),
    "iPXE ROM": Part("ipxe-qemu", _file("/usr/lib/ipxe/qemu/pxe-virtio.rom")),
    "iPXE UEFI ROM": Part("ipxe-qemu", _file("/usr/lib/ipxe/qemu/efi-virtio.rom")),
    "jq": Part("jq", _command("jq")),
    "kernel": Part(_KERNEL, _file("/boot/vmlinuz-*-cloud-amd64", "/boot/vmlinuz-*")),
    "man": Part("man-db", _command("man")),
    "nats-server": Part("nats-server", _command("nats-server")),
    "nginx": Part("nginx-light|nginx", _command("nginx")),
    "openssl": Part("openssl", _command("openssl")),
    "oras": Part("tests/tools/oras", _tool(TOOLS / "oras")),
    "OpenSSL's headers": Part("libssl-dev", _file("/usr/include/openssl/evp.h")),
    "OVMF code": Part("ovmf", _file("/usr/share/OVMF/OVMF_CODE_4M.fd")),
    "OVMF variables": Part("ovmf", _file("/usr/share/OVMF/OVMF_VARS_4M.fd")),
    "qemu-img": Part("qemu-system-x86", _command("qemu-img")),
    "qemu-system-x86_64": Part("qemu-system-x86", _command("qemu-system-x86_64")),
    "rpm": Part("rpm", _command("rpm")),
    "rpmbuild": Part("rpm", _command("rpmbuild")),
    "runc": Part("runc", _command("runc")),
    "setpriv": Part("util-linux", _command("setpriv")),
    "shellcheck": Part("shellcheck", _command("shellcheck")),
    "sbsign": Part("sbsigntool", _command("sbsign")),
    "Secure Boot code": Part("ovmf", _file("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd")),
    "Secure Boot variables": Part("ovmf", _file("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")),
    "signed grubnet": Part(
        "grub-efi-amd64-signed", _file("/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed")
    ),
    "signed shim": Part("shim-signed", _file("/usr/lib/shim/shimx64.efi.signed")),
    "skopeo": Part("skopeo", _command("skopeo")),
    "socat": Part("socat", _command("socat")),
    "ssh-add": Part("openssh-client", _command("ssh-add")),
    "ssh-agent": Part("openssh-client", _command("ssh-agent")),
    "ssh-keygen": Part("openssh-client", _command("ssh-keygen")),
    "strace": Part("strace", _command("strace")),
    "systemd-networkd": Part("systemd", _file("/lib/systemd/systemd-networkd")),
    "systemd-analyze": Part("systemd", _command("systemd-analyze")),
    "systemd": Part("systemd", _file("/usr/lib/systemd/systemd", "/lib/systemd/systemd")),
    "tar": Part("tar", _command("tar")),
    "unshare": Part("util-linux", _command("unshare")),
    "versitygw": Part("tests/tools/versitygw", _tool(TOOLS / "versitygw")),
    "zstd": Part("zstd", _command("zstd")),
    "coredns": _stack("coredns"),
    "helm": _stack("helm"),
    "kubernetes": _stack("kubernetes"),
    "loki": _stack("loki"),
    "otelcol": _stack("otelcol"),
    "prometheus": _stack("prometheus"),
    "promtool": _stack("prometheus", "promtool"),
    "tempo": _stack("tempo"),
}
