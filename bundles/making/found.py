"""What a build has found so far: the digests of layers in order, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from bundles import digest as digests
from bundles.errors import shown
from bundles.format import layout
from bundles.making import gather
from bundles.making.fingerprint import Fingerprint
from bundles.making.gather import Large, Marked
from bundles.making.hasher import Hashed, Hasher
from bundles.making.plan import Described, Documents, Piece, Plan
from bundles.progress import Progress
from bundles.sources.artifact import Known, SourceFault


class Found:
    """The digests of a plan's layers, as they become known, and the files made of them."""

    def __init__(self, plan: Plan, pool: ThreadPoolExecutor, progress: Progress) -> None:
        self.digests: list[str] = []
        self.seen = {layout.EMPTY_DIGEST}
        self._plan, self._pool, self._progress = plan, pool, progress
        self._prints = Fingerprint()
        self._marks: list[bytes] = []
        self._files: list[str] = []  # the digest of each whole file
        self._wholes: dict[int, str] = {}  # the same, by the number of each layer that is a part
        self._described: list[Described] = []
        self._made: dict[str, bytes] = {}  # by digest

    def content(self, keep: bool = False) -> Generator[tuple[Piece, Hashed]]:
        """All layers, in order, hashed; small ones with their data if it is to be kept. Each counts
        as seen once the next is asked for. Close it to stop at once.

        Raises `SourceFault` for a file that cannot be read, that is no longer what the plan was
        made from, or that is not what its source said.
        """
        self._progress.start("hashing", self._plan.statement.totals.bytes)
        pieces = self._plan.pieces
        first = next((i for i, piece in enumerate(pieces) if piece.make), len(pieces))
        hasher = Hasher(self._pool, self._prints, self._progress)
        with closing(hasher.hashed(pieces[:first], keep)) as hashed:
            for piece, item in zip(pieces[:first], hashed, strict=True):
                yield piece, item
                self._add(piece, item)
        for piece in pieces[first:]:
            if piece.make:
                item = self._made_by(piece.make, piece.layer.size)
                yield piece, item
                self._add(piece, item)
        self._progress.finish()

    def again(self, numbers: Sequence[int]) -> Iterator[tuple[Piece, bytes | Large]]:
        """The content of some layers, in order, once all are known. Raises `SourceFault` for a
        file that is no longer what was hashed."""
        pieces = self._plan.pieces
        read = [n for n in numbers if not pieces[n].make]
        marked = [Marked(pieces[n], self._marks[n]) for n in read]
        yield from zip(
            (pieces[n] for n in read), gather.read(marked, self._pool, self._prints), strict=True
        )
        for n in numbers:
            if pieces[n].make:
                yield pieces[n], self._made[self.digests[n]]

    def documents(self) -> Documents:
        """The bundle's documents, once all layers are known."""
        return self._plan.documents(self._describe())

    def _add(self, piece: Piece, item: Hashed) -> None:
        self.digests.append(item.digest)
        self.seen.add(item.digest)
        self._marks.append(item.mark)
        layer = piece.layer
        if layer.part < layer.parts:
            return
        whole = item.file_digest
        if piece.file_digest not in (None, whole):
            raise SourceFault(
                f"{shown(piece.location)} is {whole}, and should be {piece.file_digest}",
                hint="it is damaged, or was changed: get it again; from the cache, remove it first",
                file=piece.location,
            )
        self._files.append(whole)
        if layer.parts > 1:
            last = len(self.digests)
            self._wholes.update(dict.fromkeys(range(last - layer.parts, last), whole))

    def _made_by(self, make: Callable[[Known], bytes], size: int) -> Hashed:
        documents = [artifact.descriptor.digest for artifact in self._describe()]
        data = make(Known(tuple(self._files), documents))
        if len(data) != size:
            raise AssertionError(f"planned {size} bytes, made {len(data)}")
        digest = digests.of(data)
        self._made[digest] = data
        self._progress.advance(size)
        return Hashed(digest, digest, b"", data)

    def _describe(self) -> list[Described]:
        """The documents of each artifact all of whose layers are known; made once."""
        self._described = self._plan.described(self.digests, self._wholes, self._described)
        return self._described
