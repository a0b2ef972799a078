"""What is told of a package, whatever its format."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_PLAIN = re.compile(r"[!-.0-~]{1,200}")
_MAX_LICENSE = 400


class NotAPackage(ValueError):
    """A file is not the package that its name says; the message says why, fit for an SBOM."""


@dataclass(frozen=True, slots=True)
class Package:
    """A software package in one file."""

    kind: str  # the type of its package URL: rpm, deb or pypi
    name: str
    version: str  # as its ecosystem writes it whole: [EPOCH:]VERSION[-RELEASE]
    arch: str  # of a wheel: the three tags of its file name
    license: str | None  # as the package puts it
    file_name: str  # the last component of its path

    @property
    def purl(self) -> str:
        """Its package URL (ECMA-427)."""
        from packageurl import PackageURL

        version, qualifiers = self.version, {"arch": self.arch}
        if self.kind == "pypi":
            qualifiers = {"file_name": self.file_name}
        elif self.kind == "rpm" and ":" in version:
            qualifiers["epoch"], _, version = version.partition(":")
        return PackageURL(self.kind, None, self.name, version, qualifiers).to_string()


def plain(text: str | bytes | None, what: str) -> str:
    """`text` when it can be a name, a version or an architecture. Raises `NotAPackage`."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if text is None or not _PLAIN.fullmatch(text):
        raise NotAPackage(f"has no usable {what}")
    return text


def license_text(text: str | bytes | None) -> str | None:
    """`text` when it names a licence, not when it is one in full."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = (text or "").strip()
    return text if 0 < len(text) <= _MAX_LICENSE and text.isprintable() else None


def exactly(descriptor: int, count: int, offset: int) -> bytes:
    """`count` bytes of a file from `offset` on. Raises `NotAPackage` when it ends before."""
    data = os.pread(descriptor, count, offset)
    if len(data) < count:
        raise NotAPackage("is cut short")
    return data
