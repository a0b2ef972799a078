"""Reading a bundle's content while it is hashed: ahead of the writer, in order, in bounded memory.

Small files are read whole by a few threads, some batches ahead; a large one is handed over in
chunks, each hashed while the writer writes it. At most `_AHEAD` batches and two chunks are in
memory, whatever the bundle's size.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from bundles import digest as digests
from bundles.files import buffers
from bundles.making.plan import Piece
from bundles.sources.artifact import SourceFault, unreadable

SMALL = 256 * 1024  # bytes; what is longer is read in chunks
_BATCH_FILES = 64
_BATCH_BYTES = 4 * 1024 * 1024
_AHEAD = 4
_CHUNK = 4 * 1024 * 1024
_SAMPLE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Small:
    """A layer read whole."""

    data: bytes
    digest: str


class Large:
    """A layer read in chunks; `digest` is known after the last one.

    Chunks go into the two of `memory` in turn, which large layers share: one is read at a time.
    `whole`, when given, is fed the same bytes: the hash of a file of several parts.
    """

    def __init__(
        self,
        piece: Piece,
        pool: ThreadPoolExecutor,
        memory: Sequence[memoryview],
        whole: hashlib._Hash | None,
    ) -> None:
        self._piece = piece
        self._pool = pool
        self._memory = memory
        self._hashes = [hashlib.sha256()]
        if whole:  # up to the end of its first part a file hashes to what the part does
            self._hashes = [whole] if piece.layer.part == 1 else [hashlib.sha256(), whole]
        self._whole = whole
        self._settled: str | None = None
        self._digest = ""

    @property
    def settled(self) -> bool:
        """Whether `digest` is known before any chunk was taken."""
        return self._settled is not None

    def settle(self) -> None:
        """Reads the layer for its digest alone. When its chunks are taken after that, they must
        be the same."""
        for _ in self.chunks():
            pass
        self._settled = self.digest
        self._hashes = [hashlib.sha256()]

    def sample(self) -> tuple[int, bytes]:
        """Size and the hash of the first bytes: of two layers with one content it is the same."""
        piece = self._piece
        try:
            with open(piece.location, "rb", buffering=0) as file:
                start = os.pread(file.fileno(), min(_SAMPLE, piece.layer.size), piece.offset)
        except OSError as error:
            raise unreadable(piece.location, error) from error
        return piece.layer.size, hashlib.sha256(start).digest()

    def chunks(self) -> Iterator[memoryview]:
        """The bytes; each chunk is valid until the next one is asked for."""
        piece = self._piece
        try:
            descriptor = os.open(piece.location, os.O_RDONLY | os.O_CLOEXEC)
            try:
                yield from self._chunks(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise unreadable(piece.location, error) from error

    def _chunks(self, descriptor: int) -> Iterator[memoryview]:
        piece = self._piece
        work: list[Future[None]] = []

        def load(done: int) -> memoryview:
            view = self._memory[done // _CHUNK % 2][: piece.layer.size - done]
            _fill(descriptor, view, piece, piece.offset + done)
            self._hashes[0].update(view)
            return view

        try:
            # One chunk is read and hashed while the one before it is written.
            ahead = self._pool.submit(load, 0)
            for following in range(_CHUNK, piece.layer.size + _CHUNK, _CHUNK):
                view = ahead.result()
                wait(work)
                work = [self._pool.submit(each.update, view) for each in self._hashes[1:]]
                if following < piece.layer.size:
                    ahead = self._pool.submit(load, following)
                yield view
        finally:
            wait([ahead])
            wait(work)
        if piece.layer.part == piece.layer.parts:
            end = piece.offset + piece.layer.size
            if os.fstat(descriptor).st_size != end:
                raise changed(piece)
        self._digest = digests.PREFIX + self._hashes[0].hexdigest()
        if self._settled is not None and self._settled != self._digest:
            raise changed(piece)

    @property
    def digest(self) -> str:
        """The layer's digest, once it is settled or all chunks were taken."""
        return self._settled or self._digest

    @property
    def file_digest(self) -> str:
        """The digest of the whole file, once all chunks of its last part were taken."""
        return digests.PREFIX + self._whole.hexdigest() if self._whole else self.digest


class Twins:
    """Finds, among the large layers of a plan, those that may hold the same bytes as one before.

    A volume is written once and front to back, so a layer that stood in it before must be known
    as such before it is written. That costs a second reading, and is therefore asked only of those
    whose size and first bytes came before.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        sizes = Counter(piece.layer.size for piece in pieces)
        self._shared = {size for size, count in sizes.items() if count > 1}
        self._samples: set[tuple[int, bytes]] = set()

    def settle(self, item: Large, size: int) -> None:
        """Settles `item`, of `size` bytes, if it may be a twin of one that was told before."""
        if size <= SMALL:  # the last part of a file; its twin may be a `Small`
            item.settle()
        if size not in self._shared:
            return
        sample = item.sample()
        if sample in self._samples and not item.settled:
            item.settle()
        self._samples.add(sample)


def read(pieces: Sequence[Piece], pool: ThreadPoolExecutor) -> Iterator[Small | Large]:
    """The content of `pieces`, in order.

    Raises `SourceFault` when a file cannot be read or is no longer what the plan was made from.
    """
    waiting: deque[tuple[int, Future[list[Small]]]] = deque()
    queued = 0
    position = 0
    memory = [buffers.aligned(_CHUNK) for _ in range(2)]
    whole: hashlib._Hash | None = None
    while position < len(pieces):
        while len(waiting) < _AHEAD and queued < len(pieces):
            count = _batch(pieces, queued)
            if count:
                batch = pieces[queued : queued + count]
                waiting.append((queued, pool.submit(_read_batch, batch)))
            queued += max(count, 1)
        if waiting and waiting[0][0] == position:
            batch_result = waiting.popleft()[1].result()
            yield from batch_result
            position += len(batch_result)
            continue
        layer = pieces[position].layer
        if layer.part == 1:
            whole = hashlib.sha256() if layer.parts > 1 else None
        yield Large(pieces[position], pool, memory, whole)
        position += 1


def _batch(pieces: Sequence[Piece], start: int) -> int:
    """How many small layers from `start` on are read in one go; 0 when the first is not small."""
    count = size = 0
    for piece in pieces[start : start + _BATCH_FILES]:
        if piece.layer.size > SMALL or piece.layer.parts > 1 or size > _BATCH_BYTES:
            break
        size += piece.layer.size
        count += 1
    return count


def _read_batch(pieces: Sequence[Piece]) -> list[Small]:
    found = []
    for piece in pieces:
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
        found.append(Small(data, digests.of(data)))
    return found


def _fill(descriptor: int, view: memoryview, piece: Piece, offset: int) -> None:
    while view:
        count = os.preadv(descriptor, [view], offset)
        if count == 0:
            raise changed(piece)
        view, offset = view[count:], offset + count


def changed(piece: Piece) -> SourceFault:
    """The refusal of a file that is no longer what the plan was made from."""
    return SourceFault(
        f"{piece.location} changed while the bundle was built",
        hint="build again when nothing writes to it",
        file=piece.location,
    )
