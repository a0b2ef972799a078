"""The packs of a delta, filled: which new layers go into which, and where their bytes are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bundles import digest as digests
from bundles.making.found import Found
from bundles.making.gather import Large, changed
from bundles.making.plan import Piece
from bundles.reading.delta import Copy, Pack
from bundles.sources.artifact import unreadable

_MOST = 4 * 1024 * 1024  # bytes of a pack that holds more than one layer
_READ = 4 * 1024 * 1024


@dataclass(slots=True)
class Filled:
    """A pack on its way. It holds whole layers, or stretches of layers made with copies."""

    numbers: list[int] = field(default_factory=list)
    size: int = 0
    hashed: hashlib._Hash = field(default_factory=hashlib.sha256)
    digest: str = ""  # where it is known without hashing
    whole: list[int] = field(default_factory=list)  # of the layers' numbers
    stretches: list[tuple[Piece, int, int]] = field(default_factory=list)  # offset, size
    copies: dict[int, tuple[Copy, ...]] = field(default_factory=dict)

    def pack(self) -> Pack:
        """What the delta document says of it."""
        runs: list[tuple[int, int]] = []
        for number in self.numbers:
            if runs and number == sum(runs[-1]):
                runs[-1] = (runs[-1][0], runs[-1][1] + 1)
            else:
                runs.append((number, 1))
        digest = self.digest or digests.PREFIX + self.hashed.hexdigest()
        return Pack(digest, self.size, tuple(runs), self.copies)


class Filler:
    """Fills packs with what the base lacks."""

    def __init__(self, most: int) -> None:
        """`most` is how many bytes a volume has for one pack."""
        self.packs: list[Filled] = []
        self._most = min(most, _MOST)
        self._shared: Filled | None = None

    def small(self, number: int, data: bytes) -> None:
        """Adds a new layer that is in memory."""
        pack = self._room(len(data))
        pack.numbers.append(number)
        pack.size += len(data)
        pack.hashed.update(data)
        pack.whole.append(number)

    def large(self, number: int, piece: Piece, digest: str, copies: Sequence[Copy]) -> None:
        """Adds a new layer that is a file's; its literal bytes are read, unless it is all new:
        then it is a pack of its own. Raises `SourceFault`."""
        if not copies:
            size = piece.layer.size
            self.packs.append(Filled([number], size, digest=digest, whole=[number]))
            return
        stretches, at = [], 0
        for copy in copies:
            stretches.append((piece, at, copy.literal))
            at += copy.literal + copy.size
        stretches.append((piece, at, piece.layer.size - at))
        stretches = [stretch for stretch in stretches if stretch[2]]
        pack = self._room(sum(size for _, _, size in stretches))
        pack.numbers.append(number)
        pack.copies[number] = tuple(copies)
        pack.stretches += stretches
        for stretch in stretches:
            pack.size += stretch[2]
            for data in read_stretch(*stretch):
                pack.hashed.update(data)

    def close(self) -> None:
        """What comes next starts a pack."""
        self._shared = None

    def _room(self, size: int) -> Filled:
        if size > self._most:
            alone = Filled()
            self.packs.append(alone)
            return alone
        if self._shared is None or self._shared.size + size > self._most:
            self._shared = Filled()
            self.packs.append(self._shared)
        return self._shared


def read_stretch(piece: Piece, offset: int, size: int) -> Iterator[bytes]:
    """Bytes of a layer from its file. Raises `SourceFault`."""
    try:
        descriptor = os.open(piece.location, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while size:
                data = os.pread(descriptor, min(size, _READ), piece.offset + offset)
                if not data:
                    raise changed(piece)
                offset, size = offset + len(data), size - len(data)
                yield data
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unreadable(piece.location, error) from error


def content(filled: Filled, found: Found) -> Iterator[bytes | memoryview]:
    """The bytes of a pack, read again. Raises `SourceFault` when a file is no longer what was
    hashed."""
    for _, item in found.again(filled.whole):
        if isinstance(item, Large):
            yield from item.chunks()
        else:
            yield item
    again = hashlib.sha256()
    for stretch in filled.stretches:
        for data in read_stretch(*stretch):
            again.update(data)
            yield data
    if filled.stretches and again.digest() != filled.hashed.digest():
        raise changed(filled.stretches[-1][0])
