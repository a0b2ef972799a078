"""Turns a plan's content into volumes that hold only what a base lacks.

Two passes, open or sealed: content is hashed first, so that all that is left out is known before
the first byte is written. The second reads only what goes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from bundles.format import layout
from bundles.making import fill
from bundles.making.assemble import refuse_own_documents
from bundles.making.fill import Filler
from bundles.making.found import Found
from bundles.making.gather import Large
from bundles.making.match import Matcher, New
from bundles.making.packvolumes import Content, PackVolumes
from bundles.making.plan import Plan
from bundles.progress import Progress
from bundles.reading.base import Base
from bundles.signing.keys import Signer


@dataclass(frozen=True, slots=True)
class Saved:
    """What a delta saves."""

    new_layers: int  # that the base lacks
    changed_bytes: int  # of those, without what is copied from the base: what the packs hold


class DeltaAssembly(PackVolumes):
    """One build of a delta at work. After construction `saved` is final too."""

    def __init__(
        self,
        plan: Plan,
        base: Base,
        signers: Sequence[Signer],
        pool: ThreadPoolExecutor,
        progress: Progress,
    ) -> None:
        found = Found(plan)
        most = plan.volume_size or layout.MAX_PART
        filler = Filler(most // 4)
        large = _hash(plan, base, found, filler, pool, progress)
        documents = found.documents()
        refuse_own_documents(documents, found.seen)
        filler.close()
        matcher = Matcher(base, base.layers.keys() & found.seen, progress)
        copies = matcher.find(large)
        for new in large:
            filler.large(new.number, new.piece, new.digest, copies.get(new.number, ()))
        self.saved = Saved(
            new_layers=sum(len(filled.numbers) for filled in filler.packs),
            changed_bytes=sum(filled.size for filled in filler.packs),
        )
        content = Content(
            statement=plan.statement,
            documents=documents,
            bundles=base.bundles,
            base_documents=base.documents,
            blobs=matcher.blobs,
            packs=tuple(
                (filled.pack(), partial(fill.content, filled, found, pool))
                for filled in filler.packs
            ),
        )
        super().__init__(content, signers, plan.volume_size, progress)


def _hash(
    plan: Plan,
    base: Base,
    found: Found,
    filler: Filler,
    pool: ThreadPoolExecutor,
    progress: Progress,
) -> list[New]:
    """Hashes all content; new small layers go into packs, new large ones are returned."""
    progress.start("hashing", plan.statement.totals.bytes)
    large = []
    for number, (piece, item) in enumerate(zip(plan.pieces, found.content(pool), strict=True)):
        if isinstance(item, Large):
            for chunk in item.chunks():
                progress.advance(len(chunk), piece.layer.path)
        else:
            progress.advance(len(item.data), piece.layer.path)
        digest, size = item.digest, piece.layer.size
        if digest not in found.seen and base.layers.get(digest) != size:
            if isinstance(item, Large):
                large.append(New(number, piece, digest))
            else:
                filler.small(number, piece, digest, item.data)
        found.add(piece, digest, item)
    progress.finish()
    return large
