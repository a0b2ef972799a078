"""A bundle's content, read once it is known: ahead of the writer, in order, in bounded memory.

Small files are read whole by a few threads, some batches ahead; a large one is handed over in
chunks. All of it must be what was hashed. At most `_AHEAD` batches and two chunks are in memory,
whatever the bundle's size.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from bundles.files import buffers
from bundles.making.fingerprint import Fingerprint
from bundles.making.plan import Piece
from bundles.sources.artifact import SourceFault, unreadable

CHUNK = 4 * 1024 * 1024  # bytes
_SMALL = 256 * 1024  # bytes; what is longer is read in chunks
_BATCH_FILES = 64
_BATCH_BYTES = 4 * 1024 * 1024
_AHEAD = 4


@dataclass(frozen=True, slots=True)
class Marked:
    """A layer, and the fingerprints of its chunks."""

    piece: Piece
    mark: bytes


@dataclass(frozen=True, slots=True)
class OpenPiece:
    """A layer in its file."""

    piece: Piece
    descriptor: int

    def fill(self, memory: memoryview, at: int) -> memoryview:
        """The bytes from `at` on, as many as `memory` takes. Raises `SourceFault`."""
        piece = self.piece
        view = memory[: piece.layer.size - at]
        done = 0
        while done < len(view):
            count = os.preadv(self.descriptor, [view[done:]], piece.offset + at + done)
            if count == 0:
                raise changed(piece)
            done += count
        return view


@contextmanager
def opened(piece: Piece) -> Iterator[OpenPiece]:
    """The layer's file, which must end where the plan has it end. Raises `SourceFault`."""
    try:
        descriptor = os.open(piece.location, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield OpenPiece(piece, descriptor)
            if piece.layer.part == piece.layer.parts:
                end = piece.offset + piece.layer.size
                if os.fstat(descriptor).st_size != end:
                    raise changed(piece)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unreadable(piece.location, error) from error


def whole(piece: Piece) -> bytes:
    """A layer that is a small file. Raises `SourceFault`."""
    # Unbuffered and without a file object: 50,000 small files are mostly overhead.
    try:
        descriptor = os.open(piece.location, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # One byte more than planned, so that a file that grew is seen.
            data = os.read(descriptor, piece.layer.size + 1)
            while len(data) < piece.layer.size and (
                more := os.read(descriptor, piece.layer.size + 1 - len(data))
            ):
                data += more
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unreadable(piece.location, error) from error
    if len(data) != piece.layer.size:
        raise changed(piece)
    return data


class Large:
    """A layer that is read in chunks, into the two of `memory` in turn: one is read at a time."""

    def __init__(
        self,
        marked: Marked,
        pool: ThreadPoolExecutor,
        memory: Sequence[memoryview],
        prints: Fingerprint,
    ) -> None:
        self._piece, self._mark = marked.piece, marked.mark
        self._pool, self._memory, self._prints = pool, memory, prints

    def chunks(self) -> Iterator[memoryview]:
        """The bytes; each chunk is valid until the next one is asked for. Raises `SourceFault`
        instead of a chunk that was changed."""
        with opened(self._piece) as file:

            def load(at: int) -> memoryview:
                view = file.fill(self._memory[at // CHUNK % 2], at)
                start = at // CHUNK * Fingerprint.SIZE
                if self._prints.of(view) != self._mark[start : start + Fingerprint.SIZE]:
                    raise changed(self._piece)
                return view

            ahead = self._pool.submit(load, 0)
            try:
                for following in range(CHUNK, self._piece.layer.size + CHUNK, CHUNK):
                    view = ahead.result()
                    if following < self._piece.layer.size:
                        ahead = self._pool.submit(load, following)
                    yield view
            finally:
                wait([ahead])


def read(
    marked: Sequence[Marked], pool: ThreadPoolExecutor, prints: Fingerprint
) -> Iterator[bytes | Large]:
    """The content of `marked`, in order: a small layer, or one that is read in chunks.

    Raises `SourceFault` when a file cannot be read or is no longer what was hashed.
    """
    pieces = [each.piece for each in marked]
    waiting = deque[tuple[int, Future[list[bytes]]]]()
    queued = position = 0
    memory = [buffers.aligned(CHUNK) for _ in range(2)]
    while position < len(marked):
        while len(waiting) < _AHEAD and queued < len(marked):
            count = batch(pieces, queued)
            if count:
                task = pool.submit(_batch, marked[queued : queued + count], prints)
                waiting.append((queued, task))
            queued += max(count, 1)
        if waiting and waiting[0][0] == position:
            small = waiting.popleft()[1].result()
            yield from small
            position += len(small)
            continue
        yield Large(marked[position], pool, memory, prints)
        position += 1


def batch(pieces: Sequence[Piece], start: int) -> int:
    """How many small layers from `start` on are read in one go; 0 when the first is not small."""
    count = size = 0
    for piece in pieces[start : start + _BATCH_FILES]:
        if piece.layer.size > _SMALL or piece.layer.parts > 1 or size > _BATCH_BYTES:
            break
        size += piece.layer.size
        count += 1
    return count


def _batch(marked: Sequence[Marked], prints: Fingerprint) -> list[bytes]:
    found = []
    for each in marked:
        data = whole(each.piece)
        if prints.of(data) != each.mark:
            raise changed(each.piece)
        found.append(data)
    return found


def changed(piece: Piece) -> SourceFault:
    """The refusal of a file that is no longer what the plan was made from, or what was hashed."""
    return SourceFault(
        f"{piece.location} changed while the bundle was built",
        hint="build again when nothing writes to it",
        file=piece.location,
    )
