"""What a delta builds on, as its builder knows it: the blobs that the site has.

A base comes from the volumes of a bundle that the site was sent, which is a promise, or from the
site's receipt, which is a proof.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from bundles.format.chunks import Chunk


@dataclass(frozen=True, slots=True)
class BaseBundle:
    """A bundle version that must be at the site before a delta: whom errors there name."""

    name: str
    version: str
    root: str  # digest


@dataclass(frozen=True, slots=True)
class Base:
    """What the site has.

    `documents` are those of all `bundles` in head order, one after the other, without the empty
    config; None where they are not known, or may be damaged: then the delta brings its own in
    full. `chunks` gives the chunks of those of the blobs asked for that it knows, with the blob's
    digest, in an order that is the same in every run. `read`, where the bytes are at hand, gives
    those of a blob at an offset (both in bytes), all that were asked for; with it a copy reaches
    to the last byte that is the same.
    """

    bundles: tuple[BaseBundle, ...]
    layers: Mapping[str, int]  # digest: size in bytes
    documents: bytes | None
    chunks: Callable[[Collection[str]], Iterator[tuple[str, Chunk]]]
    read: Callable[[str, int, int], bytes] | None = None  # digest, offset, count


class BlobReader(Protocol):
    """A base blob, read in any order."""

    def seek(self, offset: int, /) -> int:
        """Goes to `offset` bytes from the start."""

    def read(self, count: int, /) -> bytes:
        """At most `count` bytes; fewer only at the end."""

    def close(self) -> None:
        """Ends reading."""
