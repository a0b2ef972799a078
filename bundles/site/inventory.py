"""Taking the inventory of a store for a receipt: only what is whole is told.

Every blob of a bundle must be there with its size. Large layers are read once, cut into chunks and
hashed on the way. A bundle with a blob that is missing or damaged is left out, and named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import chunks
from bundles.format.content import Content
from bundles.format.layout import MAX_DOCUMENT
from bundles.format.statement import MAX_STATEMENT, format_time
from bundles.progress import Progress
from bundles.reading import doctree
from bundles.reading.doctree import DocTree
from bundles.reading.verify import DamagedDocument
from bundles.signing.sshsig import MAX_SIGNATURE
from bundles.site.receipt import CutLayer, HeldBundle, Receipt, cut_layer
from bundles.store.errors import StoreError
from bundles.store.protocol import BundleRef, Store


class NothingWhole(GooseError):
    """A site holds no whole bundle that a receipt could tell of."""

    code = "nothing-whole"
    default_hint = "`goosectl store fsck` says what is wrong; import a bundle first if none is here"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A bundle version that is not whole."""

    name: str
    version: str
    faults: tuple[str, ...]  # what is wrong, in words

    def __str__(self) -> str:
        more = f", and {len(self.faults) - 1} more" if len(self.faults) > 1 else ""
        return f"{self.name} {self.version} is left out: {self.faults[0]}{more}"

    def as_object(self) -> dict[str, object]:
        """For scripts."""
        return {"bundle": self.name, "version": self.version, "faults": list(self.faults)}


@dataclass(frozen=True, slots=True)
class Inventory:
    """A receipt to be signed, and what it leaves out."""

    receipt: Receipt
    left_out: tuple[LeftOut, ...]


def take(
    store: Store, refs: Iterable[BundleRef], site: str | None, now: datetime, progress: Progress
) -> Inventory:
    """The inventory of `refs`, bundles of `store`, at the site with the id `site`.

    Raises `NothingWhole` when not one of them is whole, or `StoreError`.
    """
    present = {blob.digest: blob.size for blob in store.blobs()}
    ordered = sorted(refs, key=lambda ref: (ref.name, ref.sequence, ref.version))
    trees: dict[BundleRef, DocTree] = {}
    faults: dict[BundleRef, list[str]] = {ref: [] for ref in ordered}
    large: dict[str, Content] = {}
    for ref in ordered:
        try:
            trees[ref] = _documents(store, ref)
        except GooseError as error:
            faults[ref].append(error.message)
            continue
        for content in trees[ref].contents:
            if (size := present.get(content.digest)) != content.layer.size:
                what = "is missing" if size is None else "has another size"
                faults[ref].append(f"{content.path}: {content.digest} {what}")
            elif size >= chunks.WORTHWHILE:
                large[content.digest] = content
    cut = _cut(store, large, progress)
    for ref, tree in trees.items():
        faults[ref] += [
            f"{content.path}: {content.digest} is damaged"
            for content in tree.contents
            if content.digest in large and content.digest not in cut
        ]
    left_out = tuple(LeftOut(r.name, r.version, tuple(f)) for r, f in faults.items() if f)
    held = tuple(_held(ref, tree) for ref, tree in trees.items() if not faults[ref])
    if not held:
        raise NothingWhole(
            "\n  ".join(["no bundle here is whole", *map(str, left_out)]),
            left_out=[out.as_object() for out in left_out],
        )
    named = {digest for bundle in held for digest in bundle.tree.layers()}
    layers = tuple(cut[digest] for digest in sorted(cut) if digest in named)
    return Inventory(Receipt(site, format_time(now), held, layers), left_out)


def _held(ref: BundleRef, tree: DocTree) -> HeldBundle:
    return HeldBundle(
        ref.name, ref.version, ref.sequence, ref.current, ref.statement, ref.root, tree
    )


def _documents(store: Store, ref: BundleRef) -> DocTree:
    """The documents of a bundle, each hashed, as are its statement and signatures."""
    where = f"{ref.name} {ref.version}"
    small = [(ref.statement, MAX_STATEMENT), *((d, MAX_SIGNATURE) for d in ref.signatures)]
    for digest, limit in small:
        if digests.of(store.read(digest, limit)) != digest:
            raise DamagedDocument(f"{where}: {digest}, its statement or a signature, is damaged")
    return doctree.read(ref.root, lambda digest: store.read(digest, MAX_DOCUMENT), where)


def _cut(store: Store, large: dict[str, Content], progress: Progress) -> dict[str, CutLayer]:
    """The chunks of those of the layers that can be read and hash to their names."""
    found: dict[str, CutLayer] = {}
    progress.start("taking inventory", sum(content.layer.size for content in large.values()))
    with ThreadPoolExecutor(1) as pool:
        for digest, content in sorted(large.items()):
            try:
                with store.open(digest) as file:
                    stream = _Hashed(file, pool, progress, content.path)
                    layer = cut_layer(digest, list(chunks.cut(stream)))
            except (OSError, StoreError):  # a disk that cannot read it has lost it
                continue
            if stream.digest() == digest:
                found[digest] = layer
    progress.finish()
    return found


class _Hashed:
    """A stream that is hashed on another thread while it is cut."""

    def __init__(
        self, file: BinaryIO, pool: ThreadPoolExecutor, progress: Progress, path: str
    ) -> None:
        self._file, self._pool, self._progress, self._path = file, pool, progress, path
        self._hash = hashlib.sha256()
        self._work: Future[None] | None = None

    def read(self, count: int, /) -> bytes:
        """See `chunks.Stream`."""
        data = self._file.read(count)
        if self._work is not None:
            self._work.result()
        self._work = self._pool.submit(self._hash.update, data)
        self._progress.advance(len(data), self._path)
        return data

    def digest(self) -> str:
        """Of all that was read."""
        if self._work is not None:
            self._work.result()
        return digests.PREFIX + self._hash.hexdigest()
