"""Archives that a Linux kernel unpacks as part of its initial ramdisk: `newc`, written only.

Linux, Documentation/driver-api/early-userspace/buffer-format.rst. The same files give the same
bytes: no clock, owner or number of this machine enters.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class File:
    """A regular file of the archive; `path` is relative to the root of the ramdisk."""

    path: str
    data: bytes
    mode: int = 0o644


def archive(files: Iterable[File]) -> bytes:
    """The archive of `files`, with every folder above them (root's, mode 0755) before them.

    Where the ramdisk has a folder already it stays as it is; a file takes the place of one of the
    same path, also of a symbolic link (init/initramfs.c, `clean_path`). Raises ValueError for a
    path that leaves the root, is absolute or comes twice.
    """
    members: dict[str, tuple[int, bytes]] = {}
    for file in files:
        path = PurePosixPath(file.path)
        plain = str(path) == file.path and path.parts and ".." not in path.parts
        if path.is_absolute() or not plain:
            raise ValueError(f"{file.path!r} is not a plain path below the root")
        for above in reversed(path.parents[:-1]):
            members.setdefault(str(above), (stat.S_IFDIR | 0o755, b""))
        if file.path in members:
            raise ValueError(f"{file.path!r} comes twice")
        members[file.path] = (stat.S_IFREG | file.mode, file.data)
    out = bytearray()
    for number, (name, (mode, data)) in enumerate(members.items(), start=1):
        out += _member(number, name, mode, data)
    out += _member(0, "TRAILER!!!", 0, b"")
    return bytes(out)


def _member(inode: int, name: str, mode: int, data: bytes) -> bytes:
    links = 2 if stat.S_ISDIR(mode) else 1
    owner, modified, disk, device = (0, 0), 0, (0, 0), (0, 0)
    encoded = name.encode() + b"\0"
    fields = (inode, mode, *owner, links, modified, len(data), *disk, *device, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
