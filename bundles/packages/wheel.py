"""The metadata of a wheel.

Source: the binary distribution format and the core metadata specification (packaging.python.org).
"""

from __future__ import annotations

import io
import os
import zipfile

from bundles.packages.package import NotAPackage, Package, license_text, plain

_MAX_READ = 16 << 20  # bytes of the file: its directory is at the end, the metadata anywhere
_MAX_METADATA = 4 << 20  # bytes, unpacked; a description of any length is part of it


def read(descriptor: int, file_name: str) -> Package:
    """The package in an open file. Raises `NotAPackage`, and what `zipfile` raises."""
    from email.parser import BytesHeaderParser

    parts = file_name.removesuffix(".whl").split("-")
    if len(parts) not in (5, 6):
        raise NotAPackage("is not named as a wheel")
    with zipfile.ZipFile(_Bounded(descriptor)) as archive:
        named = [
            name
            for name in archive.namelist()
            if name.count("/") == 1 and name.endswith(".dist-info/METADATA")
        ]
        if len(named) != 1:
            raise NotAPackage("has no metadata of a wheel")
        with archive.open(named[0]) as file:
            data = file.read(_MAX_METADATA)
    fields = BytesHeaderParser().parsebytes(data)
    return Package(
        "pypi",
        plain(_text(fields["Name"]), "name"),
        plain(_text(fields["Version"]), "version"),
        plain("-".join(parts[-3:]), "tags"),
        license_text(_text(fields["License-Expression"]) or _text(fields["License"])),
        file_name,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


class _Bounded(io.RawIOBase):
    """An open file of which no more than `_MAX_READ` bytes are read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._at, self._left = descriptor, 0, _MAX_READ

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            offset += self._at
        elif whence == os.SEEK_END:
            offset += os.fstat(self._descriptor).st_size
        if offset < 0:
            raise NotAPackage("is cut short")
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def read(self, count: int = -1, /) -> bytes:
        if count < 0 or count > self._left:
            left = max(0, os.fstat(self._descriptor).st_size - self._at)
            if left > self._left:
                raise NotAPackage("has too long a directory")
            count = left
        data = os.pread(self._descriptor, count, self._at)
        self._at += len(data)
        self._left -= len(data)
        return data
