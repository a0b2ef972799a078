"""What the refs reach: every blob of a bundle version, with what it is good for.

A version's ref names its root, statement and signatures; the root names manifests, those name the
layers of files. Documents are hashed before they are believed, for what is not reached may be
removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import layout
from bundles.format.layout import Descriptor
from bundles.store.errors import StoreError
from bundles.store.protocol import BundleRef

Read: TypeAlias = Callable[[str, int], bytes]  # the whole blob of a digest, at most so many bytes


@dataclass(frozen=True, slots=True)
class Reference:
    """One use of a blob."""

    digest: str
    size: int | None  # bytes; None where the refs do not say
    bundle: str
    version: str
    kind: str  # root, manifest, config, statement, signature or file
    path: str = ""  # of the file; of a manifest, the title of its artifact
    offset: int = 0  # bytes of the file before this blob

    @property
    def is_document(self) -> bool:
        """Whether it is the root or a manifest, which name other blobs."""
        return self.kind in ("root", "manifest")


Lost: TypeAlias = Callable[[Reference, GooseError], None]


class DamagedStore(StoreError):
    """A document of an imported bundle is damaged or missing: what it names cannot be told."""

    code = "damaged-store"
    default_hint = "run `goosectl store fsck`: it tells what is damaged and how to get it again"


def reach(ref: BundleRef, read: Read, lost: Lost) -> Iterator[Reference]:
    """Every use that the version `ref` makes of a blob, in order.

    `lost` is told of each document that cannot be read: it raises to stop there, or returns to
    leave out what that document names.
    """
    whole = Reference(ref.root, ref.root_size, ref.name, ref.version, "root")
    yield replace(whole, digest=ref.statement, size=None, kind="statement")
    for signature in ref.signatures:
        yield replace(whole, digest=signature, size=None, kind="signature")
    yield from below(whole, read, lost)


def below(root: Reference, read: Read, lost: Lost) -> Iterator[Reference]:
    """`root`, and every use of a blob below that document."""
    yield root
    data = _document(root, read, lost)
    if data is None:
        return
    try:
        artifacts = layout.read_index(data, root.digest)[2]
    except GooseError as error:
        lost(root, error)
        return
    for artifact in artifacts:
        yield from _Artifact(root, artifact, read, lost).uses(artifact)


def refuse(what: Reference, error: GooseError) -> None:
    """The `lost` of those who must know everything. Raises `DamagedStore`."""
    title = f" of {what.path}" if what.path else ""
    raise DamagedStore(
        f"{what.bundle} {what.version}: the {what.kind}{title} cannot be read: {error.message}",
        bundle=what.bundle,
        version=what.version,
        digest=what.digest,
    ) from error


class _Artifact:
    """The walk through one artifact, whose files may go on from one manifest to the next."""

    def __init__(self, root: Reference, artifact: Descriptor, read: Read, lost: Lost) -> None:
        self._root, self._artifact, self._read, self._lost = root, artifact, read, lost
        self._offset = 0

    def uses(self, document: Descriptor) -> Iterator[Reference]:
        """The document, and every use of a blob below it."""
        here = replace(
            self._root,
            digest=document.digest,
            size=document.size,
            kind="manifest",
            path=self._artifact.title or "",
        )
        yield here
        data = _document(here, self._read, self._lost)
        if data is None:
            return
        try:
            if document.media_type == layout.INDEX_TYPE:
                children = layout.read_index(data, document.digest)[2]
                layers = []
            else:
                layers, children = layout.read_manifest(data, document.digest)[2], []
        except GooseError as error:
            self._lost(here, error)
            return
        for child in children:
            yield from self.uses(child)
        if layers:
            yield replace(here, digest=layout.EMPTY_DIGEST, size=len(layout.EMPTY), kind="config")
        for layer, digest, _ in layers:
            self._offset = 0 if layer.part == 1 else self._offset
            yield replace(
                here,
                digest=digest,
                size=layer.size,
                kind="file",
                path=layout.served_path(self._artifact, layer),
                offset=self._offset,
            )
            self._offset += layer.size


def _document(what: Reference, read: Read, lost: Lost) -> bytes | None:
    """The bytes of a document, once they hash to its name."""
    try:
        data = read(what.digest, layout.MAX_DOCUMENT)
        if digests.of(data) != what.digest:
            raise StoreError(f"blob {what.digest} does not hash to its name")
    except GooseError as error:
        lost(what, error)
        return None
    return data
