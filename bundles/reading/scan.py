"""Reading one volume: its head first, then its content, verified before it goes anywhere.

Checks 1 to 9, on the head, are in `verify`; here are the last three of docs/bundle-format.md,
"What a reader checks":

10. Every entry after the head is the layer that must come next, header and padding to the byte.
11. Every layer has the digest and size that its manifest gives.
12. The volume ends after the last one.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol, Self, TypeAlias

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format.content import Content
from bundles.format.volume import (
    BLOCK,
    BadVolume,
    DamagedHeader,
    MissingEntry,
    Reader,
    TruncatedVolume,
    blob_name,
    padding,
    stored,
)
from bundles.progress import Progress

_SMALL = 256 * 1024  # bytes; longer layers are read in chunks
_BATCH_BYTES = 2 * 1024 * 1024
_AHEAD = 4
_MAX_SIGNATURE = 64 * 1024  # bytes
_THREADS = 2


Fault: TypeAlias = GooseError
_Batch: TypeAlias = "tuple[Sequence[Content], Future[tuple[int, list[Fault]]]]"


class DamagedBlob(GooseError):
    """A layer does not have the digest that its manifest gives."""

    code = "damaged-blob"
    default_hint = "copy the volume again; if it stays, ask for a repair bundle"


class Sink(Protocol):
    """Where verified layers go; `put` and `create` are called from several threads."""

    def has(self, digest: str, size: int) -> bool:
        """Whether the layer, of `size` bytes, need not be read."""

    def put(self, digest: str, data: memoryview) -> None:
        """Takes a small layer."""

    def create(self, digest: str) -> Blob:
        """Takes a large one, piece by piece."""


class Blob(Protocol):
    """A large layer on its way into a `Sink`: a context manager; an exception undoes it."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None: ...
    def write(self, data: memoryview) -> None:
        """Appends `data`."""


class ContentReader:
    """Checks 10 to 12 over the layers of one volume, hashing and storing on two threads.

    `damaged` is told of each layer that fails check 11, and of each header or padding that was
    changed while the entry stands where it must: it raises to stop there, or returns to go on.
    What else fails check 10 or 12 is raised. At most `_AHEAD` batches and two chunks are in memory.
    """

    def __init__(
        self, reader: Reader, sink: Sink, progress: Progress, damaged: Callable[[Fault], None]
    ) -> None:
        self._reader, self._sink, self._progress = reader, sink, progress
        self._damaged = damaged
        self.stored = 0  # bytes given to the sink

    def read(self, contents: Sequence[Content]) -> None:
        """Reads all layers and the end of the volume."""
        self.take(contents)
        self._reader.end()  # check 12

    def take(self, contents: Sequence[Content]) -> None:
        """Reads some layers that follow one another."""
        with ThreadPoolExecutor(_THREADS) as pool:
            waiting: deque[_Batch] = deque()
            try:
                for batch in _batches(contents):
                    if len(batch) == 1 and batch[0].layer.size > _SMALL:
                        self._settle(waiting, 0)
                        self._large(batch[0], pool)
                    else:
                        start, last = self._reader.position, batch[-1] is contents[-1]
                        work = pool.submit(self._check, batch, self._take(batch), start, last)
                        waiting.append((batch, work))
                        self._settle(waiting, _AHEAD)
            finally:
                self._settle(waiting, 0)

    def _settle(self, waiting: deque[_Batch], leave: int) -> None:
        while len(waiting) > leave:
            batch, work = waiting.popleft()
            size, faults = work.result()
            self.stored += size
            self._progress.advance(sum(c.layer.size for c in batch), batch[-1].name)
            for fault in faults:
                self._damaged(fault)

    def _take(self, batch: Sequence[Content]) -> memoryview:
        """The bytes of a batch, headers and padding included."""
        sizes = [stored(content.layer.size) for content in batch]
        data = self._reader.available(sum(sizes))
        if len(data) < sum(sizes):
            ends = itertools.accumulate(sizes)
            cut = next(c for c, end in zip(batch, ends, strict=True) if end > len(data))
            raise self._reader.truncated(cut.name)
        return memoryview(data)

    def _check(
        self, batch: Sequence[Content], data: memoryview, start: int, last: bool
    ) -> tuple[int, list[Fault]]:
        """Checks and stores a batch of small layers, which begins at `start` of the volume, the
        last batch or not; runs on a thread of the pool.

        Returns the bytes stored, and what is damaged.
        """
        faults: list[Fault] = []
        at = kept = 0
        for content in batch:
            size, digest = content.layer.size, content.digest
            try:
                # check 10, here and below for the padding
                self._reader.check_header(bytes(data[at : at + BLOCK]), blob_name(digest), size)
            except (DamagedHeader, MissingEntry) as fault:
                if isinstance(fault, MissingEntry) and last and not any(data[at:]):
                    raise  # it is the end of the volume that stands there
                faults.append(self._bad_header(content, start + at))
            blob = data[at + BLOCK : at + BLOCK + size]
            end = at + stored(size)
            try:
                self._reader.check_padding(data[at + BLOCK + size : end], content.name)
            except BadVolume as fault:
                faults.append(fault)
            if self._sink.has(digest, size):
                pass
            elif digests.of(blob) != digest:  # check 11
                faults.append(self._fault(content, start + at + BLOCK))
            else:
                self._sink.put(digest, blob)
                kept += size
            at = end
        return kept, faults

    def _large(self, content: Content, pool: ThreadPoolExecutor) -> None:
        size, digest = content.layer.size, content.digest
        self._large_header(content)
        if self._sink.has(digest, size):
            self._reader.skip(size + padding(size), content.name)
            self._progress.advance(size, content.name)
            return
        try:
            with self._sink.create(digest) as blob:
                self._copy(content, blob, pool)
            self.stored += size
        except DamagedBlob as fault:
            self._damaged(fault)
        try:
            self._reader.pad(size, content.name)  # check 10
        except TruncatedVolume:
            raise
        except BadVolume as fault:
            self._damaged(fault)

    def _large_header(self, content: Content) -> None:
        """Reads the header of a large layer."""
        start = self._reader.position
        try:
            self._reader.expect(blob_name(content.digest), content.layer.size)  # check 10
        except DamagedHeader:
            self._damaged(self._bad_header(content, start))
        except MissingEntry:
            if not self._reader.follow(BLOCK + 1):  # the volume ends here
                raise
            self._damaged(self._bad_header(content, start))

    def _copy(self, content: Content, blob: Blob, pool: ThreadPoolExecutor) -> None:
        """Each chunk is hashed on a thread of the pool while it is written on this one."""
        hashed, start = hashlib.sha256(), self._reader.position
        work: list[Future[None]] = []
        for chunk in self._reader.pieces(content.layer.size, content.name):
            wait(work)
            work = [pool.submit(hashed.update, chunk)]
            blob.write(memoryview(chunk))
            self._progress.advance(len(chunk), content.name)
        wait(work)
        if digests.PREFIX + hashed.hexdigest() != content.digest:  # check 11
            raise self._fault(content, start)

    def _fault(self, content: Content, start: int) -> DamagedBlob:
        """The refusal of a layer whose data begin at `start` of the volume (of a sealed one: of
        the volume when opened)."""
        layer, size = content.layer, content.layer.size
        last = content.offset + size - 1
        within = f" in bytes {content.offset} to {last}" if layer.parts > 1 else ""
        return DamagedBlob(
            f"{self._reader.label}: {content.path} is damaged{within}:"
            f" {size} bytes at {start} of the volume do not hash to {content.digest}",
            volume=self._reader.label,
            entry=content.name,
            path=content.path,
            digest=content.digest,
            offset=start,
            length=size,
            file_offset=content.offset if layer.parts > 1 else None,
        )

    def _bad_header(self, content: Content, start: int) -> DamagedHeader:
        return DamagedHeader(
            f"{self._reader.label}: the header of {content.name} is damaged:"
            f" {BLOCK} bytes at {start} of the volume",
            volume=self._reader.label,
            entry=content.name,
            path=content.path,
            offset=start,
            length=BLOCK,
        )


def _batches(contents: Sequence[Content]) -> Iterator[Sequence[Content]]:
    """Runs of small layers of at most `_BATCH_BYTES` together; each large one alone."""
    start = size = 0
    for number, content in enumerate(contents):
        large = content.layer.size > _SMALL
        if number > start and (large or size > _BATCH_BYTES):
            yield contents[start:number]
            start, size = number, 0
        size += stored(content.layer.size)
        if large:
            yield contents[number : number + 1]
            start, size = number + 1, 0
    if start < len(contents):
        yield contents[start:]
