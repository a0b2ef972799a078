"""The first reading of a bundle's content: the digest of each layer and of each whole file.

Threads hash several layers at once, some way ahead of who asks, in order and in bounded memory.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from bundles import digest as digests
from bundles.files import buffers
from bundles.making import gather
from bundles.making.fingerprint import Fingerprint
from bundles.making.gather import CHUNK
from bundles.making.plan import Piece
from bundles.progress import Progress

_AHEAD = 256  # tasks, each of which leaves a few digests
_AHEAD_KEPT = 4  # tasks, each of which leaves a batch of small layers


@dataclass(frozen=True, slots=True)
class Hashed:
    """What a layer was when it was read."""

    digest: str
    file_digest: str  # of the whole file, from its last part on
    mark: bytes  # its fingerprints, chunk by chunk
    data: bytes | None = None  # all of it: of a small one that was to be kept


class Hasher:
    """Hashes layers on the threads of `pool`."""

    def __init__(self, pool: ThreadPoolExecutor, prints: Fingerprint, progress: Progress) -> None:
        self._pool, self._prints, self._progress = pool, prints, progress
        self._stop = threading.Event()
        self._memory = queue.SimpleQueue[memoryview]()  # chunks that no thread uses

    def hashed(self, pieces: Sequence[Piece], keep: bool) -> Generator[Hashed]:
        """Each of `pieces`, in order; close it to stop at once. With `keep` small layers come with
        their data.

        Raises `SourceFault` when a file cannot be read or is no longer what the plan was made from.
        """
        ahead = _AHEAD_KEPT if keep else _AHEAD
        waiting = deque[Future[list[Hashed]]]()
        start = 0
        try:
            while waiting or start < len(pieces):
                while len(waiting) < ahead and start < len(pieces):
                    if count := gather.batch(pieces, start):
                        task = self._pool.submit(self._small, pieces[start : start + count], keep)
                    else:
                        count = pieces[start].layer.parts
                        task = self._pool.submit(self._file, pieces[start : start + count])
                    waiting.append(task)
                    start += count
                yield from waiting.popleft().result()
        finally:
            self._stop.set()
            for task in waiting:
                task.cancel()

    def _small(self, pieces: Sequence[Piece], keep: bool) -> list[Hashed]:
        if self._stop.is_set():
            return []
        found = []
        for piece in pieces:
            data = gather.whole(piece)
            digest = digests.of(data)
            mark = self._prints.of(data)
            found.append(Hashed(digest, digest, mark, data if keep else None))
        self._progress.advance(sum(p.layer.size for p in pieces), pieces[-1].layer.path)
        return found

    def _file(self, parts: Sequence[Piece]) -> list[Hashed]:
        """The parts of one file. A second thread hashes the whole of it from the second part on:
        up to the end of its first part it hashes to what that does."""
        if len(parts) == 1:
            part, mark = self._part(parts[0], hashlib.sha256(), None)
            return [Hashed(part, part, mark)]
        found = []
        with ThreadPoolExecutor(1) as second:
            whole = hashlib.sha256()
            for piece in parts:
                if piece.layer.part == 1:
                    part, mark = self._part(piece, whole, None)
                else:
                    both = second, whole
                    part, mark = self._part(piece, hashlib.sha256(), both)
                found.append(Hashed(part, digests.PREFIX + whole.hexdigest(), mark))
        return found

    def _part(
        self,
        piece: Piece,
        own: hashlib._Hash,
        both: tuple[ThreadPoolExecutor, hashlib._Hash] | None,
    ) -> tuple[str, bytes]:
        """The digest of a layer by `own`, and its fingerprints; `both`: who hashes the same bytes
        meanwhile, into what."""
        mark = bytearray()
        memory = self._chunk()
        try:
            with gather.opened(piece) as file:
                for at in range(0, piece.layer.size, CHUNK):
                    if self._stop.is_set():
                        break
                    view = file.fill(memory, at)
                    other = both[0].submit(both[1].update, view) if both else None
                    own.update(view)
                    mark += self._prints.of(view)
                    if other:
                        other.result()
                    self._progress.advance(len(view), piece.layer.path)
        finally:
            self._memory.put(memory)
        return digests.PREFIX + own.hexdigest(), bytes(mark)

    def _chunk(self) -> memoryview:
        try:
            return self._memory.get_nowait()
        except queue.Empty:
            return buffers.aligned(CHUNK)
