"""Turns a plan's content into volumes, open or sealed, under temporary names."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bundles.files.pending import PendingFile
from bundles.format import layout, statement
from bundles.format.statement import Statement, parse_time
from bundles.format.volume import MAX_TIME, blob_name
from bundles.making.found import Found
from bundles.making.gather import Large, Twins
from bundles.making.plan import (
    ContentConflict,
    Documents,
    Piece,
    Plan,
)
from bundles.making.writer import VolumeWriter
from bundles.progress import Progress
from bundles.signing import sshsig
from bundles.signing.keys import Signer

_HASHING = 2  # threads


class Assembly:
    """One build at work. After `write`, `statement` and `message` are final."""

    def __init__(
        self,
        plan: Plan,
        signers: Sequence[Signer],
        pool: ThreadPoolExecutor,
        progress: Progress,
    ) -> None:
        self._plan, self._signers, self._pool, self._progress = plan, signers, pool, progress
        self.statement = plan.statement
        self.message = b""
        self.count = len(plan.statement.volumes)
        self._mtime = entry_time(plan.statement)

    def write(self, files: Sequence[PendingFile]) -> list[str]:
        """Writes the volumes into `files` and makes them durable; returns their digests.

        One pass: layers are hashed while they are written, heads are filled in last.
        """
        writers = [
            VolumeWriter(file, self._plan.head_size(k), self._mtime)
            for k, file in enumerate(files, 1)
        ]
        self._progress.start("building", self._plan.statement.totals.bytes)
        found = self._fill(writers)
        self._progress.finish()
        for writer, head in zip(writers, self._heads(found), strict=True):
            writer.write_head(head)
            writer.end()
        return finish(files, self._progress)

    def _fill(self, writers: Sequence[VolumeWriter]) -> Found:
        found, twins = Found(self._plan), Twins(self._plan.pieces)
        items = found.content(self._pool)
        for k, (writer, pieces) in enumerate(zip(writers, self._shares(), strict=True), 1):
            self._progress.volume(writer.file.path.name, k, self.count)
            for piece in pieces:
                item = next(items)
                if isinstance(item, Large):
                    twins.settle(item, piece.layer.size)
                found.add(piece, writer.add(piece.layer, item, found.seen, self._progress), item)
            writer.file.rest()
        return found

    def _shares(self) -> Iterator[Sequence[Piece]]:
        """The pieces that each volume covers."""
        start = 0
        for count in self._plan.statement.volumes:
            yield self._plan.pieces[start : start + count]
            start += count

    def _heads(self, found: Found) -> Iterator[list[tuple[str, bytes]]]:
        """The head of each volume, signed: the digests in `found` are final."""
        documents = found.documents()
        refuse_own_documents(documents, found.seen)
        self.statement = replace(self._plan.statement, root=documents.root.digest)
        self.message = self.statement.encode()
        signatures = [sshsig.sign(self.message, s, sshsig.BUNDLE) for s in self._signers]
        for number in range(1, self.count + 1):
            index = layout.encode_layout_index(
                documents.root, self.statement.version, documents.artifacts, number, self.count
            )
            yield head_entries(index, self.message, signatures, documents.entries)


def finish(files: Sequence[PendingFile], progress: Progress) -> list[str]:
    """Makes written volumes durable; returns their digests, two hashed at a time meanwhile."""
    progress.start("writing out", sum(file.size for file in files))
    stop = threading.Event()

    def sync() -> None:
        for file in files:
            file.sync()

    pool = ThreadPoolExecutor(1 + _HASHING)
    try:
        flush = pool.submit(sync)
        hashing = [pool.submit(file.digest, progress, stop) for file in files]
        hashes = []
        for k, (file, hashed) in enumerate(zip(files, hashing, strict=True), 1):
            progress.volume(file.path.name, k, len(files))  # the first that is not done
            hashes.append(hashed.result())
        flush.result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    progress.finish()
    return hashes


def entry_time(said: Statement) -> int:
    """The modification time of all entries, seconds since 1970."""
    moment = int(parse_time(said.created).timestamp()) if said.created else 0
    return moment if 0 <= moment <= MAX_TIME else 0


def refuse_own_documents(documents: Documents, layers: Collection[str]) -> None:
    """Raises `ContentConflict` for a bundle one of whose `layers` is one of its documents."""
    for digest, _ in documents.entries[:-1]:
        if digest in layers:
            raise ContentConflict(
                f"the bundle's content holds its own document {digest}",
                hint="leave out the file that is a manifest of this very bundle",
            )


def head_entries(
    index: bytes,
    message: bytes,
    signatures: Sequence[bytes],
    blobs: Iterable[tuple[str, bytes]],
) -> list[tuple[str, bytes]]:
    """The entries of a head, in order; `blobs` are its documents by digest."""
    entries = [
        ("oci-layout", layout.OCI_LAYOUT),
        ("index.json", index),
        (statement.ENTRY, message),
    ]
    entries += [
        (statement.signature_entry(n), signature) for n, signature in enumerate(signatures, 1)
    ]
    entries += [(blob_name(digest), data) for digest, data in blobs]
    return entries
