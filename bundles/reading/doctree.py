"""The documents of one bundle version and the layers they name, read from wherever they are kept.

A volume's head is read by `verify`, which trusts nothing yet. Here the root digest is known to be
good, and every document must hash to what its parent says: so the form was checked when the bundle
was imported, and is only read again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bundles import digest as digests
from bundles.format import layout
from bundles.format.content import Content
from bundles.format.layout import Descriptor
from bundles.format.paths import BadLayout
from bundles.reading.verify import DamagedDocument


@dataclass(frozen=True, slots=True)
class DocTree:
    """`documents` in head order, root first, without the empty config; `contents` in order."""

    documents: tuple[tuple[str, bytes], ...]  # digest, bytes
    contents: tuple[Content, ...]

    def layers(self) -> dict[str, int]:
        """Size in bytes of every layer, by digest."""
        return {content.digest: content.layer.size for content in self.contents}


def read(root: str, fetch: Callable[[str], bytes], where: str) -> DocTree:
    """The documents below the root index with digest `root`; `where` names the bundle in errors.

    `fetch` is called with the digest of each document in head order. Raises what it raises,
    `DamagedDocument`, and what `layout.read_index` and `layout.read_manifest` raise.
    """
    documents: list[tuple[str, bytes]] = []
    contents: list[Content] = []

    def take(digest: str, size: int | None) -> bytes:
        data = fetch(digest)
        if digests.of(data) != digest or size not in (None, len(data)):
            raise DamagedDocument(f"{where}: document {digest} does not hash to its name")
        documents.append((digest, data))
        return data

    def manifest(document: Descriptor) -> None:
        what = f"{where}: document {document.digest}"
        kind, title, layers = layout.read_manifest(take(document.digest, document.size), what)
        is_file = layout.holds_one_file(kind)
        folder = title.rpartition("/")[0] if is_file else title
        for layer, digest, whole in layers:
            last = contents[-1] if layer.part > 1 and contents else None
            offset = last.offset + last.layer.size if last else 0
            contents.append(Content(title, folder, layer, digest, whole, offset))

    for artifact in layout.read_index(take(root, None), f"{where}: document {root}")[2]:
        if artifact.media_type == layout.MANIFEST_TYPE:
            manifest(artifact)
            continue
        what = f"{where}: document {artifact.digest}"
        for child in layout.read_index(take(artifact.digest, artifact.size), what)[2]:
            if child.media_type != layout.MANIFEST_TYPE:
                raise BadLayout(f"{what} refers to an index where a manifest must stand")
            manifest(child)
    return DocTree(tuple(documents), tuple(contents))
