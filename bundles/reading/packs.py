"""What the packs of a delta make: check 15 of docs/bundle-format.md, "What a reader checks"."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from bundles.format import layout
from bundles.format.content import Content
from bundles.reading.delta import BadDelta, Copy, Delta, Pack

Item = TypeVar("Item", Pack, "Packed")


@dataclass(frozen=True, slots=True)
class Made:
    """A layer that a pack makes: by its copies, each after literal bytes, and `rest` more literal
    bytes."""

    content: Content
    copies: tuple[Copy, ...]
    rest: int


@dataclass(frozen=True, slots=True)
class Packed:
    """A pack and its layers, in order."""

    pack: Pack
    layers: tuple[Made, ...]

    @property
    def contents(self) -> list[Content]:
        """What it makes."""
        return [made.content for made in self.layers]

    @property
    def name(self) -> str:
        """What progress says of it."""
        return self.layers[-1].content.name

    @property
    def is_layer(self) -> bool:
        """Whether its one entry is a layer itself."""
        return len(self.layers) == 1 and self.layers[0].content.digest == self.pack.digest


def resolve(delta: Delta, contents: Sequence[Content], where: str) -> list[Packed]:
    """The packs of `delta`, whose bundle has the layers `contents`. Raises `BadDelta`."""
    first: dict[str, int] = {layout.EMPTY_DIGEST: -1}
    for number, content in enumerate(contents):
        first.setdefault(content.digest, number)
    made: set[int] = set()  # check 15
    found = []
    for pack in delta.packs:
        if sum(pack.runs[-1]) > len(contents):
            raise BadDelta(f"{where}: a pack makes layers that the bundle does not have")
        layers = []
        for number in pack.numbers():
            content = contents[number]
            if first[content.digest] != number or number in made:
                raise BadDelta(f"{where}: {content.name} would be made twice")
            made.add(number)
            copies = pack.copies.get(number, ())
            rest = content.layer.size - sum(copy.literal + copy.size for copy in copies)
            if rest < 0:
                raise BadDelta(f"{where}: {content.name} would be made longer than it is")
            layers.append(Made(content, copies, rest))
        literal = sum(m.rest + sum(copy.literal for copy in m.copies) for m in layers)
        if literal != pack.size:
            raise BadDelta(f"{where}: {pack.digest} has not the bytes that its layers take")
        found.append(Packed(pack, tuple(layers)))
    here = {contents[number].digest for number in made}
    if any(blob.digest in here for blob in delta.blobs):
        raise BadDelta(f"{where} copies from a layer that it makes itself")
    return found


def by_volume(packs: Sequence[Item], counts: Sequence[int]) -> list[list[Item]]:
    """The packs of each volume."""
    packed = iter(packs)
    return [list(itertools.islice(packed, count)) for count in counts]
