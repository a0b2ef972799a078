"""What the imported bundles hold, by name, version and path.

The catalog of a bundle version is read once from its manifests, all of which were verified at
import, and kept while the version is imported; a look-up is then a dictionary's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from bundles.format import layout
from bundles.format.layout import Descriptor, Layer
from bundles.store.protocol import BundleRef, Refs, Store


@dataclass(frozen=True, slots=True)
class Part:
    """One blob of a file."""

    digest: str
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a bundle. Its bytes are those of its parts, one after the other."""

    path: str  # within the bundle
    size: int  # bytes
    mode: int
    digest: str  # of the whole file
    parts: tuple[Part, ...]


class Catalog:
    """Looks up files of imported bundles; safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._token: object = _NEVER
        self._refs = Refs()
        self._files: dict[str, dict[str, StoredFile]] = {}  # by root digest

    def refs(self) -> Refs:
        """The refs as they are now. Raises `StoreError`."""
        token = self.store.refs_token()
        if token != self._token:
            with self._lock:
                refs = self.store.refs()
                roots = {ref.root for ref in refs.bundles}
                self._files = {r: files for r, files in self._files.items() if r in roots}
                self._refs, self._token = refs, token
        return self._refs

    def ref(self, name: str, version: str | None) -> BundleRef | None:
        """The bundle `name`: the version asked for, or the current one."""
        refs = self.refs()
        return refs.current(name) if version is None else refs.version(name, version)

    def find(self, name: str, version: str | None, path: str) -> StoredFile | None:
        """The file at `path` of a bundle, or None. Raises `StoreError`."""
        ref = self.ref(name, version)
        return None if ref is None else self._of(ref).get(path)

    def list(self, name: str, version: str | None) -> Iterator[StoredFile]:
        """All files of a bundle in the order of the bundle; none when it is not imported."""
        ref = self.ref(name, version)
        return iter(() if ref is None else self._of(ref).values())

    def _of(self, ref: BundleRef) -> dict[str, StoredFile]:
        files = self._files.get(ref.root)
        if files is None:
            with self._lock:
                files = self._files.get(ref.root)
                if files is None:
                    files = self._files[ref.root] = read_files(self.store, ref.root)
        return files


_NEVER = object()


def read_files(store: Store, root: str) -> dict[str, StoredFile]:
    """All files of the bundle with root digest `root`, by path."""
    found: dict[str, StoredFile] = {}
    for artifact in layout.read_index(store.read(root, layout.MAX_DOCUMENT), root)[2]:
        # Per artifact, not per manifest: the parts of a file may lie in two.
        for group in layout.files(_layers(store, artifact)):
            first, _, whole = group[0]
            path = layout.served_path(artifact, first)
            found[path] = StoredFile(
                path=path,
                size=sum(layer.size for layer, _, _ in group),
                mode=first.mode,
                digest=whole,
                parts=tuple(Part(digest, layer.size) for layer, digest, _ in group),
            )
    return found


def _layers(store: Store, document: Descriptor) -> Iterator[tuple[Layer, str, str]]:
    """All layers below a manifest or index, in order."""
    data = store.read(document.digest, layout.MAX_DOCUMENT)
    if document.media_type == layout.INDEX_TYPE:
        for child in layout.read_index(data, document.digest)[2]:
            yield from _layers(store, child)
    else:
        yield from layout.read_manifest(data, document.digest)[2]
