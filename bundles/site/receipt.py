"""Receipts: what a site holds, told under its own signature, so that the next build can leave it
out.

The format is in docs/bundle-format.md, "The receipt". Takes bytes, never paths, and does no I/O;
`inventory` makes one from a store. The signature, by the site's receipt key, is a file beside it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bundles.errors import GooseError
from bundles.format import canonical, statement
from bundles.format.chunks import MAXIMUM, WORTHWHILE, Chunk
from bundles.format.fields import Fields
from bundles.format.layout import MAX_PART
from bundles.reading import doctree
from bundles.reading.doctree import DocTree

FORMAT = 1
MAX_RECEIPT = 512 * 1024 * 1024  # bytes
_HASH = 32  # bytes of a chunk's SHA-256


class BadReceipt(GooseError):
    """A receipt is not of the form that the format prescribes, or contradicts itself."""

    code = "bad-receipt"
    default_hint = "have the site make it again: goosectl store receipt"


class ReceiptTooLarge(GooseError):
    """A receipt would hold, or holds, more bytes than readers take."""

    code = "receipt-too-large"
    default_hint = "make one per bundle: goosectl store receipt --bundle NAME"


@dataclass(frozen=True, slots=True)
class HeldBundle:
    """A bundle version that the site holds whole."""

    name: str
    version: str
    sequence: int
    current: bool  # what the site serves under the bundle's name alone
    statement: str  # digest
    root: str  # digest
    tree: DocTree

    def encode(self) -> dict[str, object]:
        """As JSON data; the documents stand in it as they are, for they are canonical too."""
        return {
            "current": self.current,
            "documents": [json.loads(data) for _, data in self.tree.documents],
            "name": self.name,
            "root": self.root,
            "sequence": self.sequence,
            "statement": self.statement,
            "version": self.version,
        }


@dataclass(frozen=True, slots=True)
class CutLayer:
    """A large layer and the chunks that make it, in order."""

    digest: str
    size: int  # bytes
    sizes: tuple[int, ...]  # bytes of each chunk
    hashes: bytes  # SHA-256 of each chunk, one after the other

    def chunks(self) -> Iterator[Chunk]:
        """The chunks."""
        offset = 0
        for number, size in enumerate(self.sizes):
            yield Chunk(self.hashes[number * _HASH : (number + 1) * _HASH], offset, size)
            offset += size

    def encode(self) -> dict[str, object]:
        """As JSON data."""
        return {
            "chunks": base64.b64encode(self.hashes).decode(),
            "digest": self.digest,
            "size": self.size,
            "sizes": list(self.sizes),
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    """`bundles` are sorted by name, sequence and version; `layers`, those that are cut, by
    digest."""

    site: str | None  # its id
    created: str  # RFC 3339, UTC
    bundles: tuple[HeldBundle, ...]
    layers: tuple[CutLayer, ...]

    def encode(self) -> bytes:
        """The signed bytes. Raises `ReceiptTooLarge`."""
        data = canonical.dumps(
            {
                "bundles": [bundle.encode() for bundle in self.bundles],
                "created": self.created,
                "format": FORMAT,
                "layers": [layer.encode() for layer in self.layers],
                "site": self.site,
            }
        )
        _check_length(data, "the receipt")
        return data


def cut_layer(digest: str, chunks: Sequence[Chunk]) -> CutLayer:
    """The layer with these chunks."""
    sizes = tuple(chunk.size for chunk in chunks)
    return CutLayer(digest, sum(sizes), sizes, b"".join(chunk.digest for chunk in chunks))


def read(data: bytes, where: str) -> Receipt:
    """The receipt that `data` encodes; `where` names it in errors.

    Every document hashes to what its parent says, up to the root; every cut layer belongs to a
    bundle. Raises `NotCanonical`, `ReceiptTooLarge` or `BadReceipt`; afterwards `encode` of the
    result is `data`.
    """
    _check_length(data, where)
    fields = Fields(canonical.loads(data, where), _FIELDS, where, BadReceipt)
    if fields.whole("format") != FORMAT:
        raise fields.wrong("format", f"is not {FORMAT}")
    found = Receipt(
        site=None if fields.null("site") else fields.text("site", statement.NAME),
        created=_time(fields),
        bundles=tuple(
            _bundle(item, f"{where}: bundle {number}")
            for number, item in enumerate(fields.items("bundles"), 1)
        ),
        layers=tuple(
            _layer(item, f"{where}: layer {number}")
            for number, item in enumerate(fields.items("layers"), 1)
        ),
    )
    order = [(b.name, b.sequence, b.version) for b in found.bundles]
    versions = {(bundle.name, bundle.version) for bundle in found.bundles}
    if order != sorted(set(order)) or len(versions) < len(order):
        raise fields.wrong("bundles", "are not sorted, or name a version twice")
    cut = [layer.digest for layer in found.layers]
    if cut != sorted(set(cut)):
        raise fields.wrong("layers", "are not sorted by digest, or name one twice")
    _check_sizes(found, where)
    return found


_FIELDS = {"bundles", "created", "format", "layers", "site"}
_BUNDLE = {"current", "documents", "name", "root", "sequence", "statement", "version"}
_LAYER = {"chunks", "digest", "size", "sizes"}


def _check_length(data: bytes, where: str) -> None:
    if len(data) > MAX_RECEIPT:
        raise ReceiptTooLarge(f"{where} has {len(data)} bytes; at most {MAX_RECEIPT} are read")


def _time(fields: Fields) -> str:
    text = fields.text("created", statement.TIME)
    try:
        statement.parse_time(text)
    except ValueError as error:
        raise fields.wrong("created", f"is no time: {error}") from error
    return text


def _bundle(item: Any, where: str) -> HeldBundle:
    fields = Fields(item, _BUNDLE, where, BadReceipt)
    name, version = fields.text("name", statement.NAME), fields.text("version", statement.VERSION)
    where, root = f"{where}: {name} {version}", fields.digest("root")
    documents = iter(fields.items("documents"))

    def next_document(digest: str) -> bytes:
        try:
            return canonical.dumps(next(documents))
        except StopIteration:
            raise BadReceipt(f"{where}: the document {digest} is missing") from None

    try:
        tree = doctree.read(root, next_document, where)
    except BadReceipt:
        raise
    except GooseError as error:
        raise BadReceipt(error.message) from error
    if next(documents, tree) is not tree:
        raise BadReceipt(f"{where} has documents that do not belong to it")
    return HeldBundle(
        name=name,
        version=version,
        sequence=fields.whole("sequence"),
        current=fields.truth("current"),
        statement=fields.digest("statement"),
        root=root,
        tree=tree,
    )


def _layer(item: Any, where: str) -> CutLayer:
    fields = Fields(item, _LAYER, where, BadReceipt)
    text, sizes = item["chunks"], fields.items("sizes")
    try:
        hashes = base64.b64decode(text, validate=True)
        canonical_spelling = base64.b64encode(hashes).decode() == text
    except (binascii.Error, TypeError, ValueError) as error:
        raise fields.wrong("chunks", f"is not base64: {error}") from error
    layer = CutLayer(fields.digest("digest"), fields.whole("size", MAX_PART), tuple(sizes), hashes)
    if not canonical_spelling or len(hashes) != _HASH * len(sizes):
        raise fields.wrong("chunks", f"is not base64 of {_HASH} bytes for each of sizes")
    if not all(type(size) is int and 0 < size <= MAXIMUM for size in sizes):
        raise fields.wrong("sizes", f"has one that is no whole number of 1 to {MAXIMUM}")
    if sum(sizes) != layer.size or layer.size < WORTHWHILE:
        raise fields.wrong("size", f"is not the sum of sizes, or below {WORTHWHILE}")
    return layer


def _check_sizes(receipt: Receipt, where: str) -> None:
    """A blob has one size wherever it is named, and what is cut is a layer of a bundle."""
    sizes: dict[str, int] = {}
    for bundle in receipt.bundles:
        for content in bundle.tree.contents:
            if sizes.setdefault(content.digest, content.layer.size) != content.layer.size:
                raise BadReceipt(f"{where}: {content.path} gives {content.digest} another size")
    for layer in receipt.layers:
        if sizes.get(layer.digest) != layer.size:
            raise BadReceipt(f"{where}: no bundle has a layer {layer.digest} of {layer.size} bytes")
