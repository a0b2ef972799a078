"""Turns a plan's content into volumes that hold only what a base lacks.

Content is hashed first, as in any build, so that all that is left out is known before the first
byte is written. The second reading is only of what goes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from bundles.format import layout
from bundles.making import fill
from bundles.making.assemble import refuse_own_documents
from bundles.making.fill import Filler
from bundles.making.found import Found
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
        found = Found(plan, pool, progress)
        most = plan.volume_size or layout.MAX_PART
        filler = Filler(most // 4)
        large = _hash(base, found, filler)
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
                (filled.pack(), partial(fill.content, filled, found)) for filled in filler.packs
            ),
        )
        super().__init__(content, signers, plan.volume_size, progress)


def _hash(base: Base, found: Found, filler: Filler) -> list[New]:
    """Hashes all content; new small layers go into packs, new large ones are returned."""
    large = []
    with closing(found.content(keep=True)) as content:
        for number, (piece, item) in enumerate(content):
            if item.digest in found.seen or base.layers.get(item.digest) == piece.layer.size:
                continue
            if item.data is None:
                large.append(New(number, piece, item.digest))
            else:
                filler.small(number, item.data)
    return large
