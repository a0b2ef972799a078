"""The control file of a .deb.

Source: deb(5): an ar archive of ``debian-binary``, ``control.tar[.gz|.xz|.zst]`` and the data; and
deb-control(5). The archive formats are walked by hand, since a bound on what is read and unpacked
must hold for any content.
"""

from __future__ import annotations

import zlib

from bundles.packages.package import NotAPackage, Package, exactly, plain

_MAGIC = b"!<arch>\n"
_HEADER = 60  # bytes of an ar header
_MAX_PACKED = 8 << 20  # bytes of the control archive
_MAX_UNPACKED = 16 << 20
_MAX_CONTROL = 256 << 10
_BLOCK = 512


def read(descriptor: int, file_name: str) -> Package:
    """The package in an open file. Raises `NotAPackage`, and what libraries raise."""
    from debian.deb822 import Deb822

    name, data = _control_archive(descriptor)
    text = _control(_unpacked(name, data)).decode("utf-8", "replace")
    fields = Deb822(text)
    return Package(
        "deb",
        plain(fields.get("Package"), "name"),
        plain(fields.get("Version"), "version"),
        plain(fields.get("Architecture"), "architecture"),
        None,  # it is told in /usr/share/doc only
        file_name,
    )


def _control_archive(descriptor: int) -> tuple[str, bytes]:
    """Name and bytes of the second member of an ar archive."""
    if exactly(descriptor, len(_MAGIC), 0) != _MAGIC:
        raise NotAPackage("is not a Debian package")
    at = len(_MAGIC)
    members = []
    for _ in range(2):
        header = exactly(descriptor, _HEADER, at)
        digits = header[48:58].strip()
        if header[58:] != b"`\n" or not digits.isdigit():
            raise NotAPackage("is not a Debian package")
        at += _HEADER
        members.append((header[:16].decode("ascii", "replace").rstrip(" /"), at, int(digits)))
        at += int(digits) + int(digits) % 2
    (first, _, _), (name, start, size) = members
    if first != "debian-binary" or not name.startswith("control.tar") or size > _MAX_PACKED:
        raise NotAPackage("is not a Debian package")
    return name, exactly(descriptor, size, start)


def _unpacked(name: str, data: bytes) -> bytes:
    """At most `_MAX_UNPACKED` bytes of a packed archive."""
    if name.endswith(".gz"):
        return zlib.decompressobj(wbits=31).decompress(data, _MAX_UNPACKED)
    if name.endswith(".xz"):
        import lzma

        return lzma.LZMADecompressor(memlimit=128 << 20).decompress(data, _MAX_UNPACKED)
    if name.endswith(".zst"):
        import zstandard

        unpacker = zstandard.ZstdDecompressor(max_window_size=128 << 20)
        return unpacker.stream_reader(data).read(_MAX_UNPACKED)
    return data


def _control(archive: bytes) -> bytes:
    """The file ``control`` of a tar (POSIX.1-2017, pax, "ustar Interchange Format")."""
    at = 0
    while at + _BLOCK <= len(archive):
        header = archive[at : at + _BLOCK]
        digits = header[124:136].strip(b"\0 ")
        if not digits.isdigit():
            break
        size = int(digits, 8)
        at += _BLOCK
        name = header[:100].rstrip(b"\0").removeprefix(b"./")
        if name == b"control" and header[156:157] in (b"0", b"\0") and size <= _MAX_CONTROL:
            return archive[at : at + size]
        at += size + -size % _BLOCK
    raise NotAPackage("has no control file")
