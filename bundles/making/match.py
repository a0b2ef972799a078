"""Finding what a base has of large new layers, to the byte where the base's bytes are at hand.

New layers are cut where their content says, and the base's chunks looked up among theirs: so what
is in memory grows with what is new, not with the base. Equal chunks that follow one another in both
are one copy, and each copy grows at both ends while the bytes are the same.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeAlias

from bundles import digest as digests
from bundles.format.chunks import MAXIMUM, WORTHWHILE, cut
from bundles.format.statement import Reference
from bundles.making.gather import changed
from bundles.making.plan import Piece
from bundles.progress import Progress
from bundles.reading.base import Base
from bundles.reading.delta import MAX_DELTA, Copy
from bundles.sources.artifact import unreadable

_GROUP = 16 * 1024**3  # bytes of new layers compared at a time: about 160 MiB of memory
_LARGE = 16 * 1024 * 1024  # bytes from which on what stays in the bundle is searched too
_SHORTEST = 4096  # bytes of a copy
_MOST = MAX_DELTA // 64  # copies of a delta, each of which takes at most 48 bytes of its document

_Table: TypeAlias = "dict[bytes, tuple[str, int] | None]"  # chunk: blob, offset


@dataclass(frozen=True, slots=True)
class New:
    """A layer that the base lacks."""

    number: int
    piece: Piece
    digest: str


@dataclass(slots=True)
class _Run:
    """Bytes that a new layer and a base blob share."""

    start: int  # bytes into the layer
    size: int
    blob: str
    offset: int  # bytes into the blob

    @property
    def end(self) -> int:
        return self.start + self.size

    def meets(self, start: int, blob: str, offset: int) -> bool:
        """Whether it goes on there in both."""
        return (self.end, self.blob, self.offset + self.size) == (start, blob, offset)


@dataclass(slots=True)
class _Cut:
    """A new layer in chunks."""

    new: New
    sizes: array[int] = field(default_factory=lambda: array("I"))
    hashes: bytearray = field(default_factory=bytearray)

    def chunks(self) -> Iterator[tuple[bytes, int]]:
        """The digest and size of each."""
        for number, size in enumerate(self.sizes):
            yield bytes(self.hashes[32 * number : 32 * number + 32]), size


class Matcher:
    """Finds copies. Afterwards `blobs` are what they read, as the delta document lists them."""

    def __init__(self, base: Base, kept: Collection[str], progress: Progress) -> None:
        """`kept` are the layers of the base that the new bundle has too: they are searched last,
        for what is new is mostly like what it takes the place of."""
        self._base, self._progress = base, progress
        large = [digest for digest, size in base.layers.items() if size >= WORTHWHILE]
        self._gone = frozenset(large).difference(kept)
        self._kept = frozenset(large).intersection(kept)
        self._indexes: dict[str, int] = {}
        self._left = _MOST

    @property
    def blobs(self) -> tuple[Reference, ...]:
        """The base blobs that copies read, in the order of their indexes."""
        return tuple(Reference(digest, self._base.layers[digest]) for digest in self._indexes)

    def find(self, layers: Sequence[New]) -> dict[int, tuple[Copy, ...]]:
        """The copies of each layer, by number. Raises `SourceFault` and what the base raises."""
        if not self._gone and not self._kept:
            return {}
        self._progress.start("comparing", sum(new.piece.layer.size for new in layers))
        found = {}
        for group in _groups(layers):
            cuts = [self._cut(new) for new in group]
            table = self._table(cuts)
            for each in cuts:
                if copies := self._copies(each, table):
                    found[each.new.number] = copies
        self._progress.finish()
        return found

    def _table(self, cuts: Sequence[_Cut]) -> _Table:
        """Where the base has each of the chunks."""
        table: _Table = {digest: None for each in cuts for digest, _ in each.chunks()}
        self._look_up(self._gone, table)
        rest: _Table = {}
        for each in cuts:
            missing = {digest: size for digest, size in each.chunks() if table[digest] is None}
            size = each.new.piece.layer.size
            if size >= _LARGE and sum(missing.values()) > size // 2:
                rest.update(dict.fromkeys(missing))
        if rest:
            self._look_up(self._kept, rest)
            table.update(rest)
        return table

    def _cut(self, new: New) -> _Cut:
        found = _Cut(new)
        with _File(new.piece) as file:
            for chunk in cut(file):
                found.sizes.append(chunk.size)
                found.hashes += chunk.digest
                self._progress.advance(chunk.size, new.piece.layer.path)
            if file.digest != new.digest:
                raise changed(new.piece)
        return found

    def _look_up(self, blobs: Collection[str], table: _Table) -> None:
        """Notes for each chunk of `table` the first place in `blobs` that has it."""
        for blob, chunk in self._base.chunks(blobs):
            if chunk.digest in table and table[chunk.digest] is None:
                table[chunk.digest] = blob, chunk.offset

    def _copies(self, each: _Cut, table: _Table) -> tuple[Copy, ...]:
        runs: list[_Run] = []
        at = 0
        for digest, size in each.chunks():
            if place := table[digest]:
                if runs and runs[-1].meets(at, *place):
                    runs[-1].size += size
                else:
                    runs.append(_Run(at, size, *place))
            at += size
        if runs and self._base.read is not None:
            with _File(each.new.piece) as file:
                runs = _grown(runs, file, self._base.read)
        runs = [run for run in runs if run.size >= _SHORTEST]
        if len(runs) > self._left:
            return ()  # the delta document would outgrow its bound: the layer goes whole
        self._left -= len(runs)
        copies, at = [], 0
        for run in runs:
            blob = self._indexes.setdefault(run.blob, len(self._indexes))
            copies.append(Copy(run.start - at, blob, run.offset, run.size))
            at = run.end
        return tuple(copies)


def _groups(layers: Sequence[New]) -> Iterator[list[New]]:
    group: list[New] = []
    size = 0
    for new in layers:
        if group and size + new.piece.layer.size > _GROUP:
            yield group
            group, size = [], 0
        group.append(new)
        size += new.piece.layer.size
    if group:
        yield group


def _grown(runs: Sequence[_Run], file: _File, read: Callable[[str, int, int], bytes]) -> list[_Run]:
    """`runs` grown at both ends. Where they stop being the same is within one chunk, for the next
    one differs."""
    grown: list[_Run] = []
    end = 0  # of what is settled
    for number, run in enumerate(runs):
        room = min(run.start - end, run.offset, MAXIMUM)
        if room:
            mine = file.read_at(run.start - room, room)
            same = _common_end(mine, read(run.blob, run.offset - room, room))
            run.start, run.offset, run.size = run.start - same, run.offset - same, run.size + same
        following = runs[number + 1].start if number + 1 < len(runs) else file.size
        if room := min(following - run.end, MAXIMUM):
            mine = file.read_at(run.end, room)
            run.size += _common_start(mine, read(run.blob, run.offset + run.size, room))
        end = run.end
        if grown and grown[-1].meets(run.start, run.blob, run.offset):
            grown[-1].size += run.size
        else:
            grown.append(run)
    return grown


def _common_start(a: bytes, b: bytes) -> int:
    """How many bytes are the same at the start."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_end(a: bytes, b: bytes) -> int:
    """How many bytes are the same at the end."""
    return _common_start(a[::-1], b[::-1])


class _File:
    """A layer in its file, hashed as far as it is read in order: a context manager."""

    def __init__(self, piece: Piece) -> None:
        self.size = piece.layer.size
        self._piece, self._position, self._hash = piece, 0, hashlib.sha256()
        try:
            self._descriptor = os.open(piece.location, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise unreadable(piece.location, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def read(self, count: int, /) -> bytes:
        """The next bytes, at most `count`."""
        data = self.read_at(self._position, min(count, self.size - self._position))
        self._position += len(data)
        self._hash.update(data)
        return data

    def read_at(self, offset: int, count: int) -> bytes:
        """At most `count` bytes at `offset`. Raises `SourceFault`."""
        try:
            return os.pread(self._descriptor, count, self._piece.offset + offset)
        except OSError as error:
            raise unreadable(self._piece.location, error) from error

    @property
    def digest(self) -> str:
        """Of what was read in order."""
        return digests.PREFIX + self._hash.hexdigest()
