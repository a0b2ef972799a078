"""The images and charts of imported bundles, as a registry names them: BUNDLE/TITLE, tag, digest.

What an image's own manifests say is outside input still: the builder's signature says whose word it
is, not that it is well formed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import image, layout
from bundles.format.image import BadImage, Blob
from bundles.site.catalog import Catalog, StoredFile
from bundles.store.protocol import BundleRef, Store

_MOST = 2_000  # manifests of one image that are looked at


@dataclass(frozen=True, slots=True)
class Image:
    """An image of one bundle version."""

    ref: BundleRef
    title: str
    tag: str  # its own, or else the bundle's version
    top: Blob
    documents: Mapping[str, str]  # the media type of each manifest and index that is here


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest or index that is here."""

    file: StoredFile
    media_type: str
    digest: str


class Images:
    """Looks up images; safe to use from several threads. Every method may raise `StoreError`, or
    `BadImage` for an image that is not what it should be."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._titles: dict[str, frozenset[str]] = {}  # of images, by root digest
        self._images: dict[tuple[str, str, str], Image] = {}  # by root, version and title

    def of(self, repository: str) -> list[Image]:
        """The images of that name: of the current version of their bundle first, then of the
        others, newest first."""
        bundle, _, title = repository.partition("/")
        refs = [ref for ref in self._catalog.refs().bundles if ref.name == bundle]
        refs.sort(key=lambda ref: (ref.current, ref.sequence), reverse=True)
        return [self._image(ref, title) for ref in refs if title in self._of(ref)]

    def repositories(self) -> list[str]:
        """All names, sorted."""
        bundles = self._catalog.refs().bundles
        return sorted({f"{ref.name}/{title}" for ref in bundles for title in self._of(ref)})

    def manifest(self, images: list[Image], reference: str) -> Found | None:
        """The manifest or index under a tag or a digest, if one of `images` has it."""
        for each in images:
            digest = each.top.digest if reference == each.tag else reference
            if (kind := each.documents.get(digest)) and (file := self._file(each, digest)):
                return Found(file, kind, digest)
        return None

    def blob(self, images: list[Image], digest: str) -> StoredFile | None:
        """The blob with that digest, if one of `images` has it."""
        return next(filter(None, (self._file(each, digest) for each in images)), None)

    def _of(self, ref: BundleRef) -> frozenset[str]:
        titles = self._titles.get(ref.root)
        if titles is None:
            store = self._catalog.store
            artifacts = layout.read_index(store.read(ref.root, layout.MAX_DOCUMENT), ref.root)[2]
            titles = frozenset(
                str(each.title) for each in artifacts if each.artifact_type in layout.IMAGE_TYPES
            )
            with self._lock:
                self._forget()
                self._titles[ref.root] = titles
        return titles

    def _image(self, ref: BundleRef, title: str) -> Image:
        key = (ref.root, ref.version, title)
        found = self._images.get(key)
        if found is None:
            found = _read(self._catalog, ref, title)
            with self._lock:
                self._images[key] = found
        return found

    def _forget(self) -> None:
        """Drops what is known of versions that are gone."""
        roots = {ref.root for ref in self._catalog.refs().bundles}
        self._titles = {root: t for root, t in self._titles.items() if root in roots}
        self._images = {key: i for key, i in self._images.items() if key[0] in roots}

    def _file(self, of: Image, digest: str) -> StoredFile | None:
        path = f"{of.title}/{image.BLOBS}{digests.hex_of(digest)}"
        return self._catalog.find(of.ref.name, of.ref.version, path)


def _read(catalog: Catalog, ref: BundleRef, title: str) -> Image:
    where = f"{ref.name} {ref.version}: {title}"

    def fetch(path: str) -> bytes | None:
        file = catalog.find(ref.name, ref.version, f"{title}/{path}")
        return None if file is None else _whole(catalog.store, file, where)

    named = image.read_index(fetch(image.INDEX) or b"", where)
    if len(named) != 1:
        raise BadImage(f"{where} holds {len(named)} images, where one must be")
    documents: dict[str, str] = {}
    waiting = named[:]
    while waiting and len(documents) < _MOST:
        blob = waiting.pop()
        data = None if blob.digest in documents else fetch(blob.path)
        if data is None:
            continue  # of a platform that was left out
        documents[blob.digest] = blob.media_type
        waiting += _indexed(blob, data, where)
    return Image(ref, title, named[0].name or ref.version, named[0], documents)


def _indexed(blob: Blob, data: bytes, where: str) -> Iterator[Blob]:
    """The manifests that an index names; none of one that cannot be read."""
    if blob.is_index:
        try:
            yield from image.children(blob, data, where)
        except GooseError:
            return


def _whole(store: Store, file: StoredFile, where: str) -> bytes:
    if file.size > image.MAX_MANIFEST:
        raise BadImage(f"{where}: {file.path} has {file.size} bytes")
    return b"".join(store.read(part.digest, image.MAX_MANIFEST) for part in file.parts)
