"""Reading the head of a volume, and what follows it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from bundles.format import layout
from bundles.format.content import Content
from bundles.format.statement import (
    ENTRY,
    MAX_SIGNATURES,
    MAX_STATEMENT,
    Reference,
    signature_entry,
)
from bundles.format.volume import Reader, blob_name
from bundles.reading.base import BaseBundle
from bundles.reading.delta import MAX_DELTA, BadDelta, Delta
from bundles.reading.missing import MissingBase, missing_bundles
from bundles.reading.packs import by_volume
from bundles.reading.patch import MAX_CONTENT
from bundles.reading.verify import DamagedDocument, TrustedHead

_MAX_SIGNATURE = 64 * 1024  # bytes

# The documents of some bundles, one after the other in head order, or `MissingBase`.
BaseDocuments = Callable[[Sequence[BaseBundle]], bytes]


def read_head(
    reader: Reader, head: TrustedHead, base: BaseDocuments | None = None
) -> MissingBase | None:
    """Reads a volume up to its first layer or pack into `head`, which checks it on the way.

    `base` gives the documents that a delta builds on. Where they are not to be had, returns why:
    then `head` knows the statement and the delta document, but none of the bundle's content.

    Raises `BadVolume` and what `TrustedHead` raises; nothing was written anywhere.
    """
    # Checks 1 to 9 are in `head`; that nothing else stands between is check 10, in `reader`.
    head.layout(reader.next_small("oci-layout", 1024))
    head.index(reader.next_small("index.json", layout.MAX_DOCUMENT))
    message = reader.next_small(ENTRY, MAX_STATEMENT)
    signatures = []
    for number in range(1, MAX_SIGNATURES + 1):
        signature = reader.optional_small(signature_entry(number), _MAX_SIGNATURE)
        if signature is None:
            break
        signatures.append(signature)
    head.sign(message, signatures)
    said = head.statement.base
    if said is not None:
        if said.size > MAX_DELTA:
            raise BadDelta(f"{reader.label}: the delta document has {said.size} bytes")
        delta = head.build_on(reader.expect_data(blob_name(said.digest), said.size))
        if delta.documents is not None:
            return _read_patch(reader, head, delta, delta.documents, base)
    while (wanted := head.wanted()) is not None:
        head.document(reader.expect_data(blob_name(wanted.digest), wanted.size))
    if reader.expect_data(blob_name(layout.EMPTY_DIGEST), len(layout.EMPTY)) != layout.EMPTY:
        raise DamagedDocument(
            f"{reader.label}: document {layout.EMPTY_DIGEST} does not hash to its name",
            volume=reader.label,
        )
    head.complete()
    return None


def _read_patch(
    reader: Reader,
    head: TrustedHead,
    delta: Delta,
    said: Reference,
    base: BaseDocuments | None,
) -> MissingBase | None:
    if said.size > MAX_CONTENT:
        raise BadDelta(f"{reader.label}: the documents' patch has {said.size} bytes")
    patch = reader.expect_data(blob_name(said.digest), said.size)
    head.check_patch(patch)
    try:
        if base is None:
            raise missing_bundles(reader.label, delta.bundles)
        old = base(delta.bundles)
    except MissingBase as refusal:
        return refusal
    head.patched(patch, old)
    head.complete()
    return None


def shares(head: TrustedHead) -> list[list[Content]]:
    """For each volume of the bundle the layers that it brings, in order: those that its packs
    make; or, where it is no delta, those of its share that no layer before, in any volume, has the
    digest of."""
    if head.delta is not None:
        volumes = by_volume(head.packs, head.statement.volumes)
        return [[made for pack in volume for made in pack.contents] for volume in volumes]
    seen = {layout.EMPTY_DIGEST}
    contents = iter(head.contents)
    found = []
    for count in head.statement.volumes:
        share = []
        for content in itertools.islice(contents, count):
            if content.digest not in seen:
                seen.add(content.digest)
                share.append(content)
        found.append(share)
    return found
