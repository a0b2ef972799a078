"""Turns a plan's content into volumes, open or sealed, under temporary names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bundles import layout, sshsig
from bundles.found import Found
from bundles.gather import Large, changed
from bundles.keys import Signer
from bundles.plan import (
    STATEMENT_NAME,
    ContentConflict,
    Documents,
    Piece,
    Plan,
    signature_name,
)
from bundles.progress import Progress
from bundles.seal import Recipient, SealedWriter
from bundles.statement import Statement, parse_time
from bundles.volume import END, MAX_TIME, blob_name, header, padding
from bundles.writer import VolumeWriter, encode_head


class Assembly:
    """One build at work. After `open` or `sealed`, `statement` and `message` are final."""

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
        self._abandoned = False  # set by one thread, seen by others
        self.count = len(plan.statement.volumes)
        self._mtime = entry_time(plan.statement)

    def open(
        self, paths: Sequence[Path], stack: ExitStack
    ) -> tuple[Sequence[VolumeWriter], list[str]]:
        """One pass: layers are hashed while they are written, heads are filled in last."""
        writers = [
            stack.enter_context(
                VolumeWriter(path, self._plan.head_size(k), self._mtime, self._pool)
            )
            for k, path in enumerate(paths, 1)
        ]
        self._progress.start("building", self._plan.statement.totals.bytes)
        found = Found(self._plan)
        items = found.content(self._pool)
        for k, (writer, pieces) in enumerate(zip(writers, self._shares(), strict=True), 1):
            self._progress.volume(writer.path.name, k, self.count)
            for piece in pieces:
                item = next(items)
                found.add(piece, writer.add(piece.layer, item, found.seen, self._progress), item)
        self._progress.finish()
        for writer, head in zip(writers, self._heads(found), strict=True):
            writer.write_head(head)
        self._progress.start("writing out", sum(writer.position for writer in writers))
        hashes = []
        for k, writer in enumerate(writers, 1):
            self._progress.volume(writer.path.name, k, self.count)
            hashes.append(writer.finish(self._progress))
        self._progress.finish()
        return writers, hashes

    def sealed(
        self, paths: Sequence[Path], recipients: Sequence[Recipient], stack: ExitStack
    ) -> tuple[Sequence[SealedWriter], list[str]]:
        """Two passes: a stream cannot be gone back on, and plaintext must not touch the disk. So
        content is hashed first, then read again, hashed again and sealed, two volumes at a time.
        """
        self._progress.start("hashing", self._plan.statement.totals.bytes)
        found = Found(self._plan)
        for piece, item in zip(self._plan.pieces, found.content(self._pool), strict=True):
            if isinstance(item, Large):
                for chunk in item.chunks():
                    self._progress.advance(len(chunk), piece.layer.path)
            else:
                self._progress.advance(len(item.data), piece.layer.path)
            found.add(piece, item.digest, item)
        self._progress.finish()
        heads = list(self._heads(found))
        writers = [stack.enter_context(SealedWriter(path)) for path in paths]
        shares = list(self._stored(found))
        self._progress.start("sealing", sum(p.layer.size for share in shares for p, _ in share))
        with ThreadPoolExecutor(2) as sealing:
            work = [
                sealing.submit(self._seal, k, writer, self._stream(head, share, found), recipients)
                for k, (writer, head, share) in enumerate(
                    zip(writers, heads, shares, strict=True), 1
                )
            ]
            try:
                hashes = [future.result() for future in work]
            except BaseException:  # nobody waits for an hour to see Ctrl-C obeyed
                self._abandoned = True
                sealing.shutdown(wait=False, cancel_futures=True)
                raise
        self._progress.finish()
        return writers, hashes

    def _shares(self) -> Iterator[Sequence[Piece]]:
        """The pieces that each volume covers."""
        start = 0
        for count in self._plan.statement.volumes:
            yield self._plan.pieces[start : start + count]
            start += count

    def _stored(self, found: Found) -> Iterator[list[tuple[Piece, str]]]:
        """The pieces that each volume stores, with their digests."""
        seen = {layout.EMPTY_DIGEST}
        hashed = iter(found.digests)
        for pieces in self._shares():
            share = []
            for piece, digest in zip(pieces, hashed, strict=False):
                if digest not in seen:
                    seen.add(digest)
                    share.append((piece, digest))
            yield share

    def _seal(
        self,
        number: int,
        writer: SealedWriter,
        stream: Iterator[bytes | memoryview],
        recipients: Sequence[Recipient],
    ) -> str:
        self._progress.volume(writer.path.name, number, self.count)
        return writer.seal(stream, recipients)

    def _stream(
        self, head: Sequence[tuple[str, bytes]], share: Sequence[tuple[Piece, str]], found: Found
    ) -> Iterator[bytes | memoryview]:
        """A volume from front to back. Raises `SourceFault` when a file is no longer what was
        hashed."""
        yield encode_head(head, self._mtime)
        items = found.again(share, self._pool)
        for (piece, digest), item in zip(share, items, strict=True):
            size = piece.layer.size
            yield header(blob_name(digest), size, self._mtime)
            for chunk in item.chunks() if isinstance(item, Large) else (item.data,):
                yield chunk
                self._progress.advance(len(chunk), piece.layer.path)
                if self._abandoned:
                    raise InterruptedError("another volume cannot be sealed")
            if item.digest != digest:
                raise changed(piece)
            yield bytes(padding(size))
        yield END

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
        (STATEMENT_NAME, message),
    ]
    entries += [(signature_name(n), signature) for n, signature in enumerate(signatures, 1)]
    entries += [(blob_name(digest), data) for digest, data in blobs]
    return entries
