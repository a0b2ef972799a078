"""The content type `image`: an image for containers, as an OCI image layout of its own.

Its manifests and layers are files of the bundle, each under its digest, byte for byte as they came.
Of an index of several platforms the chosen ones are taken; the index itself stays as it is, for its
digest is what charts and clusters pin.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from bundles import digest as digests
from bundles.format import image as images
from bundles.format.image import BadImage, Blob
from bundles.format.layout import OCI_LAYOUT
from bundles.sources.artifact import Artifact, Named, SourceFile
from bundles.sources.url import Downloads

_DEEPEST = 4  # indexes of indexes
_MOST = 1000  # manifests and indexes of one image


class Origin(Protocol):
    """Where the blobs of an image are."""

    def document(self, digest: str) -> bytes:
        """The manifest or index with this digest. Raises `BadImage`, or what fetching raises."""

    def file(self, blob: Blob) -> Path:
        """Where a config or layer of that size is; raises as `document` does."""


def expand(
    kind: str,
    title: str,
    top: Blob,
    origin: Origin,
    downloads: Downloads,
    platforms: Sequence[str] = (),
    repository: str | None = None,
) -> Artifact:
    """The image `top`, with what of it is for `platforms` (all, where none is named), served below
    `title`; `kind` is image or chart.

    Raises `BadImage`, `SourceFault` and what `origin` raises.
    """
    found = blobs(top, origin, platforms, title)
    files = [_made(images.MARKER, OCI_LAYOUT, downloads)]
    files.append(_made(images.INDEX, images.encode_index(top), downloads))
    for blob in found:
        if blob.is_document:
            path = downloads.keep(origin.document(blob.digest))
        else:
            path = origin.file(blob)
        files.append(SourceFile(blob.path, blob.size, 0o644, str(path), digest=blob.digest))
    files.sort(key=lambda file: file.path)
    return Artifact(kind, title, tuple(files), Named(top.digest, top.name, repository))


def blobs(top: Blob, origin: Origin, platforms: Sequence[str], where: str) -> list[Blob]:
    """`top` and all below it that is taken, each once. Raises as `expand` does."""
    walk = _Walk(origin, platforms, where)
    walk.into(top, 1, chosen=not platforms)
    if platforms and (lacking := [each for each in platforms if each not in walk.met]):
        there = ", ".join(sorted(walk.there)) or "none"
        raise BadImage(f"{where}: no image for {', '.join(lacking)}", hint=f"there is: {there}")
    return list(walk.found.values())


class _Walk:
    """From the top down, each document once however often it is named."""

    def __init__(self, origin: Origin, platforms: Collection[str], where: str) -> None:
        self._origin, self._platforms, self._where = origin, platforms, where
        self.found: dict[str, Blob] = {}
        self.met: set[str] = set()  # chosen platforms that there is something for
        self.there: set[str] = set()  # all that were seen
        self._documents = 0

    def into(self, blob: Blob, depth: int, *, chosen: bool) -> None:
        """Takes a document and what is below it. Not `chosen` is what has no platform yet."""
        if depth > _DEEPEST:
            raise BadImage(f"{self._where}: indexes stand in one another {depth} deep")
        self._documents += 1
        if self._documents > _MOST:
            raise BadImage(f"{self._where} has more than {_MOST} manifests")
        what = f"{self._where}: manifest {blob.digest}"
        data = self._origin.document(blob.digest)
        if digests.of(data) != blob.digest or len(data) != blob.size:
            raise BadImage(f"{what} has {len(data)} bytes and is {digests.of(data)}")
        named = images.children(blob, data, what)
        if blob.is_index:
            self._take(blob)
            for child in dict.fromkeys(named):
                if child.digest in self.found:
                    continue
                if chosen or child.platform is None:
                    if child.platform:
                        self.there.add(child.platform)
                    self.into(child, depth + 1, chosen=chosen)
                elif self._wanted(child.platform):
                    self.into(child, depth + 1, chosen=True)
        elif chosen or self._wanted(self._configured(named[0])):
            for part in (blob, *named):
                self._take(part)

    def _take(self, blob: Blob) -> None:
        before = self.found.setdefault(blob.digest, blob)
        if before.size != blob.size:
            raise BadImage(f"{self._where}: {blob.digest} is given two sizes")

    def _wanted(self, platform: str) -> bool:
        """Whether it is one of those asked for; a variant that is not asked for does not matter."""
        self.there.add(platform)
        met = {each for each in self._platforms if f"{platform}/".startswith(f"{each}/")}
        self.met |= met
        return bool(met)

    def _configured(self, config: Blob) -> str:
        """The platform that an image's own config says; of none, nothing."""
        if config.size > images.MAX_MANIFEST:
            return ""
        try:
            value = json.loads(self._origin.file(config).read_bytes())
            return "/".join(_platform(value))
        except (ValueError, AttributeError, RecursionError, TypeError):
            return ""


def _platform(value: dict[str, object]) -> Iterator[str]:
    for field in ("os", "architecture", "variant"):
        if isinstance(part := value.get(field), str) and part:
            yield part


def _made(path: str, data: bytes, downloads: Downloads) -> SourceFile:
    """A file of the layout that is ours, kept in the cache to be read from there."""
    location = downloads.keep(data)
    return SourceFile(path, len(data), 0o644, str(location), digest=digests.of(data))
