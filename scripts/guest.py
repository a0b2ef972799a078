"""Build the small guest that boots in the quickstart and in the boot tests.

The guest is a Linux kernel of this machine and an initramfs made of busybox, curl with its
libraries, the virtio network modules of that kernel and `guest-init.sh`. It stands in for an
installer: it brings up the one NIC that booted, fetches its rendered file as an installer would,
tries to fetch it again, and powers off.

    python scripts/guest.py OUT     writes OUT/vmlinuz and OUT/initrd.img
    python scripts/guest.py OUT --system   a guest that then runs as the system it installed

Nothing but the standard library is used. The same kernel, programs and init give the same bytes.
Where a part is missing the exit code is 3 and stderr names the part and what installs it.
"""

from __future__ import annotations

import argparse
import gzip
import lzma
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

INSTALL = "apt install linux-image-cloud-amd64 busybox-static curl (Ubuntu: linux-image-virtual)"
MODULES = ("virtio_pci", "virtio_net")  # what QEMU's virtio NIC needs, without what they need
SYSTEMD = "usr/lib/systemd/systemd"  # its place in the guest
MISSING = 3  # exit code


class MissingPart(Exception):
    """This machine lacks a part of the guest."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel image that this user may read, and the modules that belong to it."""

    image: Path
    modules: Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of the archive; `mode` as in stat(2), `device` as (major, minor)."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def find_kernel(boot: Path = Path("/boot"), lib: Path = Path("/lib/modules")) -> Kernel:
    """The newest kernel with its modules; small ones (cloud, virtual, kvm) go first.

    Raises `MissingPart`.
    """
    unreadable = []
    found = []
    for image in boot.glob("vmlinuz-*"):
        release = image.name.removeprefix("vmlinuz-")
        if not (lib / release / "modules.dep").is_file():
            continue
        if not os.access(image, os.R_OK):
            unreadable.append(image)
            continue
        small = any(word in release for word in ("cloud", "virtual", "kvm"))
        found.append((small, image.stat().st_mtime, image.name, Kernel(image, lib / release)))
    if found:
        return max(found, key=lambda item: item[:3])[3]
    if unreadable:
        raise MissingPart(
            f"the kernel {unreadable[0]} can be read by root only"
            f" (sudo chmod a+r {unreadable[0]} lets everyone)"
        )
    raise MissingPart(f"no kernel with modules was found in {boot} ({INSTALL})")


def find_busybox() -> Path:
    """A statically linked busybox. Raises `MissingPart`."""
    for candidate in ("/bin/busybox", "/usr/lib/busybox/busybox-static", "/bin/busybox-static"):
        path = Path(candidate)
        if path.is_file() and b"/ld-" not in path.read_bytes()[:4096]:
            return path
    raise MissingPart(f"no statically linked busybox was found ({INSTALL})")


def find_curl() -> dict[str, Path]:
    """curl and the libraries that it loads, by their place in the guest. Raises `MissingPart`."""
    curl = shutil.which("curl")
    if curl is None:
        raise MissingPart(f"no curl is on PATH ({INSTALL})")
    return {"bin/curl": Path(curl), **libraries(Path(curl))}


def find_systemd() -> dict[str, Path]:
    """systemd, its journal, their libraries and units, by their place in the guest. Raises
    `MissingPart`."""
    for folder in (Path("/usr/lib/systemd"), Path("/lib/systemd")):
        if (folder / "systemd").is_file():
            found = {SYSTEMD: folder / "systemd", **libraries(folder / "systemd")}
            executor = folder / "systemd-executor"  # which starts services since version 255
            if executor.is_file():
                found |= {str(executor).lstrip("/"): executor, **libraries(executor)}
            journal = folder / "systemd-journald"
            found |= libraries(journal)  # units name it by either place
            found |= {f"{place}/systemd/{journal.name}": journal for place in ("lib", "usr/lib")}
            units = [*(folder / "system").glob("*.target"), *(folder / "system").glob("*journald*")]
            return found | {
                f"etc/systemd/system/{unit.name}": unit for unit in sorted(units) if unit.is_file()
            }
    raise MissingPart("no systemd was found (apt install systemd)")


def libraries(program: Path) -> dict[str, Path]:
    """The shared libraries that a program loads, by their place. Raises `MissingPart`."""
    ldd = shutil.which("ldd")
    if ldd is None:
        raise MissingPart(f"no ldd is on PATH ({INSTALL})")
    told = subprocess.run([ldd, program], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in told.splitlines():
        # name => path (address), or the loader's own path (address)
        words = line.partition("=>")[2].split() or line.split()
        if words and words[0].startswith("/"):
            found[words[0].lstrip("/")] = Path(words[0])
    return found


def load_order(modules: Path, wanted: Iterable[str]) -> list[Path]:
    """The files of `wanted` and of all they depend on, in an order in which they load.

    modules.dep (depmod(8)) lists for each module what it needs, the first needed last. What the
    kernel has built in needs no loading. Raises `MissingPart` for a module that it lacks.
    """
    needs: dict[str, list[str]] = {}
    files: dict[str, str] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        files[_module_name(path)] = path
        needs[path] = rest.split()
    built_in = {_module_name(line) for line in _lines(modules / "modules.builtin")}
    order: list[str] = []
    for name in wanted:
        if name in files:
            path = files[name]
            order += [p for p in (*reversed(needs[path]), path) if p not in order]
        elif name not in built_in:
            raise MissingPart(f"the kernel of {modules} has no module {name} ({INSTALL})")
    return [modules / path for path in order]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []


def _module_name(path: str) -> str:
    return Path(path).name.split(".ko")[0].replace("-", "_")


def read_module(path: Path) -> bytes:
    """A module's plain bytes: busybox cannot load what distributions compress."""
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        if shutil.which("zstd") is None:
            raise MissingPart(f"{path.name} needs zstd to unpack (apt install zstd)")
        return subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=True).stdout
    return data


def entries(
    init: bytes,
    programs: Mapping[str, bytes],
    modules: Iterable[tuple[str, bytes]],
) -> list[Entry]:
    """The members of the initramfs. `programs` are by path, with their libraries; `modules` are
    (name, plain bytes) in load order."""
    folder, program = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755
    listed = [Entry(name, folder) for name in ("bin", "dev", "modules", "proc", "sys", "tmp")]
    listed.append(Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    listed.append(Entry("init", program, init))
    folders = {str(above) for path in programs for above in PurePosixPath(path).parents}
    more = sorted(folders - {".", *(entry.name for entry in listed)})
    listed.extend(Entry(name, folder) for name in more)
    for name, data in programs.items():
        mode = stat.S_IFREG | 0o644 if name.startswith("etc/") else program
        listed.append(Entry(name, mode, data))
    for number, (name, data) in enumerate(modules):
        listed.append(Entry(f"modules/{number:02}-{name}.ko", stat.S_IFREG | 0o644, data))
    return listed


def cpio(members: Iterable[Entry]) -> bytes:
    """A `newc` archive (Linux, Documentation/driver-api/early-userspace/buffer-format.rst)."""
    out = bytearray()
    trailer = Entry("TRAILER!!!", 0)
    for number, entry in enumerate([*members, trailer], start=1):
        name = entry.name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(entry.mode) else 1
        inode = 0 if entry is trailer else number
        owner, modified, disk = (0, 0), 0, (0, 0)
        fields = (inode, entry.mode, *owner, links, modified, len(entry.data), *disk)
        tail = (*entry.device, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % value for value in (*fields, *tail)) + name
        out += b"\0" * (-len(out) % 4)
        out += entry.data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def build(out: Path, system: bool = False) -> Kernel:
    """Write `out`/vmlinuz and `out`/initrd.img; returns the kernel they were made from. With
    `system` the guest, when it is installed, goes on as the installed system, under systemd."""
    kernel = find_kernel()
    programs = {"bin/busybox": find_busybox(), **find_curl()}
    if system:
        programs |= find_systemd()
    init = Path(__file__).with_name("guest-init.sh").read_bytes()
    files = load_order(kernel.modules, MODULES)
    modules = [(_module_name(path.name), read_module(path)) for path in files]
    held = {name: path.read_bytes() for name, path in programs.items()}
    out.mkdir(parents=True, exist_ok=True)
    (out / "initrd.img").write_bytes(cpio(entries(init, held, modules)))
    shutil.copyfile(kernel.image, out / "vmlinuz")
    return kernel


def main() -> int:
    """The command line: see the module's docstring."""
    parser = argparse.ArgumentParser(description="Build the guest of the quickstart and the tests")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write to")
    parser.add_argument(
        "--system", action="store_true", help="go on as the installed system, under systemd"
    )
    args = parser.parse_args()
    try:
        kernel = build(args.out, args.system)
    except MissingPart as error:
        print(error, file=sys.stderr)
        return MISSING
    print(kernel.image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
