"""What a build has found so far: the digests of layers in order, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from bundles import digest as digests
from bundles.errors import shown
from bundles.format import layout
from bundles.making import gather
from bundles.making.gather import Large, Small
from bundles.making.plan import Described, Documents, Piece, Plan
from bundles.sources.artifact import Known, SourceFault


class Found:
    """The digests of a plan's layers, as they become known, and the files made of them."""

    def __init__(self, plan: Plan) -> None:
        self.digests: list[str] = []
        self.seen = {layout.EMPTY_DIGEST}
        self._plan = plan
        self._files: list[str] = []  # the digest of each whole file
        self._wholes: dict[int, str] = {}  # the same, by the number of each layer that is a part
        self._described: list[Described] = []
        self._made: dict[str, bytes] = {}  # by digest

    def add(self, piece: Piece, digest: str, item: Small | Large) -> None:
        """The next layer has this digest. Raises `SourceFault` when it ends a file that is not
        what its source said."""
        self.digests.append(digest)
        self.seen.add(digest)
        layer = piece.layer
        if layer.part < layer.parts:
            return
        whole = item.file_digest if isinstance(item, Large) else digest
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

    def content(self, pool: ThreadPoolExecutor) -> Iterator[Small | Large]:
        """The content of all layers, in order. Before the next is asked for, `add` is told of the
        last, since files may be made of all that was before them."""
        pieces = self._plan.pieces
        first = next((i for i, piece in enumerate(pieces) if piece.make), len(pieces))
        yield from gather.read(pieces[:first], pool)
        for piece in pieces[first:]:
            if piece.make:
                yield self._made_by(piece.make, piece.layer.size)

    def again(
        self, share: Sequence[tuple[Piece, str]], pool: ThreadPoolExecutor
    ) -> Iterator[Small | Large]:
        """The content of some layers, in order, once all are known."""
        yield from gather.read([piece for piece, _ in share if not piece.make], pool)
        for piece, digest in share:
            if piece.make:
                yield Small(self._made[digest], digest)

    def documents(self) -> Documents:
        """The bundle's documents, once all layers are known."""
        return self._plan.documents(self._describe())

    def _made_by(self, make: Callable[[Known], bytes], size: int) -> Small:
        documents = [artifact.descriptor.digest for artifact in self._describe()]
        data = make(Known(tuple(self._files), documents))
        if len(data) != size:
            raise AssertionError(f"planned {size} bytes, made {len(data)}")
        made = Small(data, digests.of(data))
        self._made[made.digest] = data
        return made

    def _describe(self) -> list[Described]:
        """The documents of each artifact all of whose layers are known; made once."""
        self._described = self._plan.described(self.digests, self._wholes, self._described)
        return self._described
