"""The delta document: what a bundle builds on, and how its layers are made from there.

Canonical JSON, named by the statement, first among the documents of a head. A **pack** is an entry
after the head. It makes layers, in the order of their numbers: each is the next bytes of the pack
(literal), with stretches of base blobs copied in between where `Copy` says so. Layers that no pack
makes must be at the site.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import canonical
from bundles.format.layout import MAX_PART
from bundles.format.statement import NAME, VERSION, Reference
from bundles.reading.base import BaseBundle

FORMAT = 1
MAX_DELTA = 16 * 1024 * 1024  # bytes of the document
MAX_BUNDLES = 64


class BadDelta(GooseError):
    """A delta document is not of the form that format 1 has, or contradicts its bundle."""

    code = "bad-delta"
    default_hint = "do not use this bundle; ask its builder where it came from"


@dataclass(frozen=True, slots=True)
class Copy:
    """`literal` bytes of the pack, then `size` bytes of a base blob from `offset` on."""

    literal: int
    blob: int  # index into `Delta.blobs`
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Pack:
    """An entry after the head. `runs` are the layers it makes: the first number and how many.
    Layers that are not in `copies` are literal."""

    digest: str
    size: int  # bytes
    runs: tuple[tuple[int, int], ...]
    copies: dict[int, tuple[Copy, ...]]  # by number of the layer

    def numbers(self) -> Iterator[int]:
        """The numbers of the layers it makes, from 0."""
        for first, count in self.runs:
            yield from range(first, first + count)


@dataclass(frozen=True, slots=True)
class Delta:
    """A delta document as read or to be written."""

    bundles: tuple[BaseBundle, ...]  # what must be at the site
    documents: Reference | None  # the patch that makes the documents; None: they stand in full
    blobs: tuple[Reference, ...]  # base blobs that copies read
    packs: tuple[Pack, ...]

    def encode(self) -> bytes:
        """The document; no digest's value changes its length."""
        return canonical.dumps(
            {
                "blobs": [_reference(blob) for blob in self.blobs],
                "bundles": [
                    {"name": b.name, "root": b.root, "version": b.version} for b in self.bundles
                ],
                "documents": None if self.documents is None else _reference(self.documents),
                "format": FORMAT,
                "packs": [_pack(pack) for pack in self.packs],
            }
        )


def _reference(of: Reference) -> dict[str, object]:
    return {"digest": of.digest, "size": of.size}


def _pack(pack: Pack) -> dict[str, object]:
    layers, last = [], 0
    for first, count in pack.runs:
        layers += [first - last, count]
        last = first + count
    return {
        "copies": [
            [number, *(n for c in copies for n in (c.literal, c.blob, c.offset, c.size))]
            for number, copies in sorted(pack.copies.items())
        ],
        "digest": pack.digest,
        "layers": layers,
        "size": pack.size,
    }


def read(data: bytes, where: str) -> Delta:
    """The delta that `data` encodes: check 13 of docs/bundle-format.md.

    Raises `NotCanonical`, `BadDigest` or `BadDelta`; afterwards `encode` of the result is `data`,
    so nothing in it went unread.
    """
    value = canonical.loads(data, where)  # check 13
    try:
        documents = value["documents"]
        found = Delta(
            bundles=tuple(_read_bundle(item, where) for item in value["bundles"]),
            documents=None if documents is None else _read_reference(documents, where),
            blobs=tuple(_read_reference(item, where) for item in value["blobs"]),
            packs=tuple(_read_pack(item, len(value["blobs"]), where) for item in value["packs"]),
        )
        same = found.encode() == data
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise BadDelta(f"{where} is no delta document: {error!r}") from error
    if not same:
        raise BadDelta(f"{where} holds what a delta document of format {FORMAT} does not have")
    if not 1 <= len(found.bundles) <= MAX_BUNDLES:
        raise BadDelta(f"{where} builds on {len(found.bundles)} bundles; 1 to {MAX_BUNDLES} can be")
    if len({blob.digest for blob in found.blobs}) < len(found.blobs):
        raise BadDelta(f"{where} names a base blob twice")
    for pack in found.packs:
        for copies in pack.copies.values():
            for copy in copies:
                if copy.offset + copy.size > found.blobs[copy.blob].size:
                    blob = found.blobs[copy.blob].digest
                    raise BadDelta(f"{where} copies from beyond the end of {blob}")
    return found


def _read_bundle(item: Any, where: str) -> BaseBundle:
    name, version = item["name"], item["version"]
    if not NAME.fullmatch(name) or not VERSION.fullmatch(version):
        raise BadDelta(f"{where} builds on {name!r} {version!r}, which names no bundle")
    return BaseBundle(name, version, digests.check(item["root"], where))


def _read_reference(item: Any, where: str) -> Reference:
    return Reference(digests.check(item["digest"], where), _count(item["size"], where))


def _read_pack(item: Any, blobs: int, where: str) -> Pack:
    last, runs = 0, list[tuple[int, int]]()
    for gap, count in _groups(item["layers"], 2, where):
        if count == 0 or (gap == 0 and runs):
            raise BadDelta(f"{where}: the layers of a pack are not in the shortest form")
        runs.append((last + gap, count))
        last += gap + count
    copies = {}
    for row in item["copies"]:
        number = _count(row[0], where)
        copies[number] = tuple(Copy(*group) for group in _groups(row[1:], 4, where))
        for copy in copies[number]:
            if copy.blob >= blobs or not 0 < copy.size <= MAX_PART:
                raise BadDelta(f"{where}: layer {number} is made with a copy that cannot be")
        if not copies[number] or not any(first <= number < first + n for first, n in runs):
            raise BadDelta(f"{where}: copies for layer {number}, which the pack does not make")
    if not runs:
        raise BadDelta(f"{where} has a pack that makes nothing")
    return Pack(
        digests.check(item["digest"], where), _count(item["size"], where), tuple(runs), copies
    )


def _groups(numbers: Sequence[Any], size: int, where: str) -> Iterator[tuple[int, ...]]:
    if len(numbers) % size:
        raise BadDelta(f"{where} has a list of numbers that is cut short")
    for at in range(0, len(numbers), size):
        yield tuple(_count(number, where) for number in numbers[at : at + size])


def _count(number: Any, where: str) -> int:
    if type(number) is not int or number < 0:
        raise BadDelta(f"{where} has {number!r} where a whole number must stand")
    return number
