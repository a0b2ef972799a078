"""Clean-up of a store: what is kept, what goes, and in which order.

Kept is what an imported version reaches, and what an import that has not ended brought. The store
is held from the first look to the last removal, so no import races it. First the refs switch, then
blobs go: killed in between, blobs are left that the next clean-up finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.progress import Progress
from bundles.store.protocol import BundleRef, Leftover, Maintenance, Refs, Store, StoredBlob
from bundles.store.reach import Reference, below, reach, refuse


@dataclass(frozen=True, slots=True)
class Cleanup:
    """What a clean-up would do."""

    dropped: tuple[BundleRef, ...]  # versions that are no longer served
    blobs: tuple[StoredBlob, ...]  # that nothing reaches then
    discarded: tuple[Leftover, ...]  # imports that have not ended, and then start over
    waiting: tuple[Leftover, ...]  # those that are kept

    @property
    def bytes(self) -> int:
        """What it frees."""
        blobs = sum(blob.size for blob in self.blobs)
        return blobs + sum(leftover.size for leftover in self.discarded)

    def __bool__(self) -> bool:
        return bool(self.dropped or self.blobs or self.discarded)


def plan(store: Store, held: Maintenance, keep: int | None, unfinished: bool) -> Cleanup:
    """What to remove.

    With `keep`, only so many of the newest versions of each bundle stay, besides the current one
    and those that are pinned. `unfinished` drops also what unfinished imports brought. Raises
    `DamagedStore` where a document that must be followed is damaged.
    """
    refs = store.refs()
    dropped = () if keep is None else _old(refs, keep)
    leftovers = held.leftovers()
    roots = {ref.root for ref in refs.bundles}
    # One of a bundle that is here was killed in its last step: nothing is lost with it.
    discarded = [left for left in leftovers if unfinished or (left.root in roots and not left.size)]
    waiting = [left for left in leftovers if left not in discarded]
    live = {
        digests.hex_of(use.digest)
        for ref in refs.bundles
        if ref not in dropped
        for use in reach(ref, store.read, refuse)
    }
    for leftover in waiting:
        live |= {digests.hex_of(use.digest) for use in _brought(held, leftover)}
    return Cleanup(
        dropped=tuple(dropped),
        blobs=tuple(blob for blob in store.blobs() if digests.hex_of(blob.digest) not in live),
        discarded=tuple(discarded),
        waiting=tuple(waiting),
    )


def drop(cleanup: Cleanup, held: Maintenance) -> None:
    """Takes the versions out of the refs: the first half."""
    gone = set(cleanup.dropped)
    held.publish(
        lambda refs: replace(refs, bundles=tuple(ref for ref in refs.bundles if ref not in gone))
    )


def remove(cleanup: Cleanup, held: Maintenance, progress: Progress) -> None:
    """Removes blobs and unfinished imports. Raises `StoreError`; what is gone by then is gone."""
    held.settle()
    progress.start("removing", cleanup.bytes)
    for leftover in cleanup.discarded:
        held.discard(leftover)
        progress.advance(leftover.size)
    for blob in cleanup.blobs:
        held.remove(blob.digest)
        progress.advance(blob.size, blob.digest)
    progress.finish()


def _old(refs: Refs, keep: int) -> Sequence[BundleRef]:
    """The versions beyond the newest `keep` of each bundle."""
    found = []
    for name in {ref.name for ref in refs.bundles}:
        versions = sorted(
            (ref for ref in refs.bundles if ref.name == name),
            key=lambda ref: ref.sequence,
            reverse=True,
        )
        found += [ref for ref in versions[keep:] if not (ref.current or ref.pinned)]
    return sorted(found, key=lambda ref: (ref.name, ref.sequence))


def _brought(held: Maintenance, leftover: Leftover) -> Iterator[Reference]:
    """What the documents of an unfinished import reach, as far as they have come."""

    def read(digest: str, limit: int) -> bytes:
        return held.document(leftover, digest, limit)

    return below(Reference(leftover.root, None, "", "", "root"), read, _not_here_yet)


def _not_here_yet(what: Reference, error: GooseError) -> None:
    """An import that goes on brings it again."""
