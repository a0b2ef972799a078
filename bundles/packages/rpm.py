"""The header of an .rpm.

Source: rpm 4 package format (rpm.org, "RPM Package Format V4"): a lead, a signature header, padding
to 8 bytes, the header. A header is an index of tags and a store of their values. Only the index and
the few values asked for are read, so that it costs the same for a package of 100,000 files.
"""

from __future__ import annotations

import os
import struct
from typing import Final

from bundles.packages.package import NotAPackage, Package, exactly, license_text, plain

_LEAD: Final = 96  # bytes
_LEAD_MAGIC = b"\xed\xab\xee\xdb"
_MAGIC = b"\x8e\xad\xe8\x01"
_INTRO = struct.Struct(">4s4xII")  # magic, entries, bytes of the store
_ENTRY = struct.Struct(">IIII")  # tag, type, offset, count
_MAX_ENTRIES = 4096
_MAX_VALUE = 1024  # bytes
_INT32, _STRING = 4, 6
_NAME, _VERSION, _RELEASE, _EPOCH, _LICENSE = 1000, 1001, 1002, 1003, 1014
_ARCH, _SOURCE = 1022, 1044
_WANTED = {_NAME, _VERSION, _RELEASE, _EPOCH, _LICENSE, _ARCH, _SOURCE}


def read(descriptor: int, file_name: str) -> Package:
    """The package in an open file. Raises `NotAPackage`."""
    if exactly(descriptor, _LEAD, 0)[:4] != _LEAD_MAGIC:
        raise NotAPackage("is not an RPM package")
    _, store, size = _index(descriptor, _LEAD)  # of the signatures
    values = _values(descriptor, store + size + -size % 8)
    version = f"{plain(values.get(_VERSION), 'version')}-{plain(values.get(_RELEASE), 'release')}"
    if epoch := int.from_bytes(values.get(_EPOCH, b"")):
        version = f"{epoch}:{version}"
    # A source package has the architecture it was made on, and names no source of its own.
    arch = plain(values.get(_ARCH), "architecture") if _SOURCE in values else "src"
    name = plain(values.get(_NAME), "name")
    return Package("rpm", name, version, arch, license_text(values.get(_LICENSE)), file_name)


def _index(descriptor: int, at: int) -> tuple[bytes, int, int]:
    """The index of the header at `at`; where its store begins, and its size."""
    magic, entries, size = _INTRO.unpack(exactly(descriptor, _INTRO.size, at))
    if magic != _MAGIC or not 0 < entries <= _MAX_ENTRIES:
        raise NotAPackage("has no RPM header")
    at += _INTRO.size
    index = exactly(descriptor, entries * _ENTRY.size, at)
    return index, at + len(index), size


def _values(descriptor: int, at: int) -> dict[int, bytes]:
    """The wanted values of the header at `at`, by tag."""
    index, store, size = _index(descriptor, at)
    found: dict[int, bytes] = {}
    for tag, kind, offset, count in _ENTRY.iter_unpack(index):
        if tag not in _WANTED or tag in found or count != 1 or offset >= size:
            continue
        if kind == _INT32 and tag == _EPOCH:
            found[tag] = exactly(descriptor, 4, store + offset)
        elif kind == _STRING and tag != _EPOCH:
            data = os.pread(descriptor, min(_MAX_VALUE, size - offset), store + offset)
            text, end, _ = data.partition(b"\0")
            if not end:
                raise NotAPackage("has an RPM header whose values do not end")
            found[tag] = text
    return found
