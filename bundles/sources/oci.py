"""From a recipe's words to an image or a chart: in a registry as the lock pins it, or in files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bundles.errors import shown
from bundles.format import image as images
from bundles.format.image import Blob
from bundles.progress import Progress
from bundles.sources import chart, image, layouts
from bundles.sources.archives import Archive
from bundles.sources.artifact import Artifact, SourceFault
from bundles.sources.chart import Packaged
from bundles.sources.layouts import Folder
from bundles.sources.lock import Pin
from bundles.sources.reference import PACKAGE, Local, Remote
from bundles.sources.registry import Registry
from bundles.sources.url import Downloads, InputChanged


def pin(
    kind: str, of: Remote, platforms: Sequence[str], downloads: Downloads, progress: Progress
) -> Pin:
    """Fetches an image, what of it is for `platforms`, or a chart, and pins its digest.

    Raises `DownloadFailed`, `RegistryRefused` or `BadImage`.
    """
    registry = Registry(of, downloads, progress)
    data = registry.resolve()
    top = images.top(data, str(of))
    if kind == "chart":
        chart.refuse_other(top, registry, str(of))
    for blob in image.blobs(top, registry, platforms, str(of)):
        if not blob.is_document:
            registry.file(blob)
    return Pin(str(of), top.digest, top.size)


def expand_remote(
    kind: str,
    of: Remote,
    pinned: Pin,
    title: str,
    platforms: Sequence[str],
    downloads: Downloads,
    progress: Progress,
) -> Artifact:
    """The pinned image, served below `title`. What the cache lacks is fetched, by digest.

    Raises as `pin` does, and `InputChanged` where the recipe asks for another digest.
    """
    if of.digest not in (None, pinned.digest):
        raise InputChanged(f"{of} asks for another digest than the lock pins, {pinned.digest}")
    registry = Registry(of, downloads, progress)
    top = images.top(registry.document(pinned.digest), str(of))
    if kind == "chart":
        chart.refuse_other(top, registry, str(of))
    top = replace(top, name=of.tag)
    return image.expand(kind, title, top, registry, downloads, platforms, of.repository)


def expand_local(
    kind: str,
    of: Local,
    folder: Path,
    title: str,
    platforms: Sequence[str],
    downloads: Downloads,
) -> Artifact:
    """The image in files below `folder`, served below `title`.

    Raises `SourceFault` or `BadImage`.
    """
    path = folder / of.path
    origin: Folder | Archive | Packaged
    if of.transport == PACKAGE:
        origin = Packaged(path, downloads)
        top = origin.top
    elif of.transport == "oci":
        origin = Folder(path)
        top = layouts.choose(origin.images(), of.name, shown(path))
    else:
        origin = Archive(path, downloads)
        if of.transport == "docker-archive":
            top = origin.convert(of.name)
        elif origin.is_layout():
            top = layouts.choose(origin.images(), of.name, shown(path))
        else:
            raise SourceFault(
                f"{shown(path)} holds no OCI image layout",
                hint="use `docker-archive:` for what `docker save` writes",
            )
    if kind == "chart":
        chart.refuse_other(top, origin, shown(path))
    return image.expand(kind, title, _tagged(top), origin, downloads, platforms)


def _tagged(top: Blob) -> Blob:
    """`top` with a tag, where its name has one: some tools write the whole reference there."""
    name = (top.name or "").rpartition(":")[2]
    return replace(top, name=name if images.TAG.fullmatch(name) else None, platform=None)
