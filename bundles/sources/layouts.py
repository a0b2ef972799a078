"""Images in a folder: an OCI image layout (OCI image specification 1.1, image-layout.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bundles import digest as digests
from bundles.errors import shown
from bundles.format import image as images
from bundles.format.image import BadImage, Blob
from bundles.sources.artifact import SourceFault, unreadable


class Folder:
    """The `Origin` that is a layout's folder."""

    def __init__(self, path: Path) -> None:
        """Raises `SourceFault` for what is no layout."""
        self._path = path
        try:
            said = json.loads(_read(path / images.MARKER, 1024))
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict) or said.get("imageLayoutVersion") != "1.0.0":
            raise SourceFault(f"{shown(path)} is not an OCI image layout of version 1.0.0")

    def images(self) -> list[Blob]:
        """The images that it names. Raises `BadImage`."""
        path = self._path / images.INDEX
        return images.read_index(_read(path, images.MAX_MANIFEST), shown(path))

    def document(self, digest: str) -> bytes:
        """See `Origin`. Raises `SourceFault` or `BadImage`."""
        path = self._path / images.BLOBS / digests.hex_of(digest)
        return _read(path, images.MAX_MANIFEST)

    def file(self, blob: Blob) -> Path:
        """See `Origin`. Raises `SourceFault` or `BadImage`; the digest is compared when it is
        read for the bundle."""
        path = self._path / blob.path
        try:
            size = path.stat().st_size
        except OSError as error:
            raise unreadable(str(path), error) from error
        if not path.is_file() or size != blob.size:
            raise BadImage(f"{shown(path)} is no file of the {blob.size} bytes that it should have")
        return path


def choose(found: Sequence[Blob], name: str | None, where: str) -> Blob:
    """The image with that name, or the only one. Raises `BadImage`."""
    fitting = [blob for blob in found if name in (None, blob.name)]
    if len(fitting) != 1:
        there = ", ".join(sorted(blob.name for blob in found if blob.name)) or "none"
        asked = f"{len(fitting)} images" + (f" named {name!r}" if name else "")
        raise BadImage(f"{where} holds {asked}", hint=f"name one of these: {there}")
    return fitting[0]


def _read(path: Path, most: int) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise unreadable(str(path), error) from error
    if len(data) > most:
        raise BadImage(f"{shown(path)} has more than {most} bytes")
    return data
