"""Turns a plan's content into volumes that hold only what a base lacks.

Two passes, open or sealed: content is hashed first, so that all that is left out is known before
the first byte is written. The second reads only what goes in.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bundles import digest as digests
from bundles import fill, layout, patch, sshsig
from bundles.assemble import entry_time, head_entries, refuse_own_documents
from bundles.base import Base
from bundles.delta import Delta
from bundles.fill import Filled, Filler
from bundles.found import Found
from bundles.gather import Large
from bundles.keys import Signer
from bundles.plan import Documents, Piece, Plan, VolumeTooSmall
from bundles.progress import Progress
from bundles.seal import Recipient, SealedWriter
from bundles.statement import Reference, Statement
from bundles.volume import END, blob_name, header, padding, stored
from bundles.writer import PendingFile, encode_head


@dataclass(frozen=True, slots=True)
class Saved:
    """What a delta saves."""

    new_layers: int  # that the base lacks
    changed_bytes: int  # of those, without what is copied from the base: what the packs hold


class DeltaAssembly:
    """One build of a delta at work. After construction `statement`, `message`, `count` and `saved`
    are final."""

    def __init__(
        self,
        plan: Plan,
        base: Base,
        signers: Sequence[Signer],
        pool: ThreadPoolExecutor,
        progress: Progress,
    ) -> None:
        self._plan, self._base, self._signers = plan, base, signers
        self._pool, self._progress = pool, progress
        self._mtime = entry_time(plan.statement)
        self._found = Found(plan)
        most = plan.volume_size or layout.MAX_PART
        filler = Filler(most // 4)
        large = self._hash(filler)
        documents = self._found.documents()
        refuse_own_documents(documents, self._found.seen)
        filler.close()
        for number, piece, digest in large:
            filler.large(number, piece, digest, ())
        entries = self._describe(documents, filler.packs, ())
        self._shares = self._split(documents, entries, filler.packs)
        self.count = len(self._shares)
        self.statement = self._stated(documents, entries, tuple(map(len, self._shares)))
        self.message = self.statement.encode()
        signatures = [sshsig.sign(self.message, s, sshsig.BUNDLE) for s in signers]
        self._heads = [
            head_entries(self._index(documents, k, self.count), self.message, signatures, entries)
            for k in range(1, self.count + 1)
        ]
        self.saved = Saved(
            new_layers=sum(len(filled.numbers) for filled in filler.packs),
            changed_bytes=sum(filled.size for filled in filler.packs),
        )

    def open(
        self, paths: Sequence[Path], stack: ExitStack
    ) -> tuple[Sequence[PendingFile], list[str]]:
        """Writes the volumes; returns them and their digests."""
        writers = [stack.enter_context(_PlainWriter(path)) for path in paths]
        self._progress.start("building", self.saved.changed_bytes)
        hashes = [w.write(self._stream(k)) for k, w in enumerate(writers)]
        self._progress.finish()
        return writers, hashes

    def sealed(
        self, paths: Sequence[Path], recipients: Sequence[Recipient], stack: ExitStack
    ) -> tuple[Sequence[PendingFile], list[str]]:
        """Writes the volumes sealed, two at a time; returns them and their digests."""
        writers = [stack.enter_context(SealedWriter(path)) for path in paths]
        self._progress.start("sealing", self.saved.changed_bytes)
        with ThreadPoolExecutor(2) as sealing:
            work = [
                sealing.submit(writer.seal, self._stream(k), recipients)
                for k, writer in enumerate(writers)
            ]
            hashes = [future.result() for future in work]
        self._progress.finish()
        return writers, hashes

    def _hash(self, filler: Filler) -> list[tuple[int, Piece, str]]:
        """Hashes all content; new small layers go into packs, new large ones are returned."""
        self._progress.start("hashing", self._plan.statement.totals.bytes)
        large = []
        items = self._found.content(self._pool)
        for number, (piece, item) in enumerate(zip(self._plan.pieces, items, strict=True)):
            if isinstance(item, Large):
                for _ in item.chunks():
                    pass
            digest, size = item.digest, piece.layer.size
            if digest not in self._found.seen and self._base.layers.get(digest) != size:
                if isinstance(item, Large):
                    large.append((number, piece, digest))
                else:
                    filler.small(number, piece, digest, item.data)
            self._found.add(piece, digest, item)
            self._progress.advance(size, piece.layer.path)
        self._progress.finish()
        return large

    def _describe(
        self, documents: Documents, packs: Sequence[Filled], blobs: Sequence[Reference]
    ) -> list[tuple[str, bytes]]:
        """The documents of a head by digest: the delta document, then the patch or the bundle's
        own in full."""
        new = b"".join(data for _, data in documents.entries[:-1])
        old = self._base.documents
        if old is None or max(len(old), len(new)) > patch.MAX_CONTENT:
            rest, said = list(documents.entries), None
        else:
            made = patch.compress(new, old)
            said = Reference(digests.of(made), len(made))
            rest = [(said.digest, made)]
        delta = Delta(self._base.bundles, said, tuple(blobs), tuple(f.pack() for f in packs))
        encoded = delta.encode()
        return [(digests.of(encoded), encoded), *rest]

    def _stated(
        self, documents: Documents, entries: Sequence[tuple[str, bytes]], volumes: tuple[int, ...]
    ) -> Statement:
        digest, data = entries[0]
        return replace(
            self._plan.statement,
            root=documents.root.digest,
            base=Reference(digest, len(data)),
            volumes=volumes,
        )

    def _index(self, documents: Documents, number: int, count: int) -> bytes:
        return layout.encode_layout_index(
            documents.root, self._plan.statement.version, documents.artifacts, number, count
        )

    def _split(
        self,
        documents: Documents,
        entries: Sequence[tuple[str, bytes]],
        packs: Sequence[Filled],
    ) -> list[list[Filled]]:
        """The packs of each volume, filled in order. Raises `VolumeTooSmall`."""
        size = self._plan.volume_size
        if size is None:
            return [list(packs)]
        shares: list[list[Filled]] = [[]]
        while True:
            # No count has more digits than their sum: this head is as long as any.
            guess = len(shares)
            worst = self._stated(documents, entries, (len(packs),) * guess).encode()
            index = self._index(documents, guess, guess)
            lengths = [len(layout.OCI_LAYOUT), len(index), len(worst), *self._plan.signatures]
            lengths += [len(data) for _, data in entries]
            room = size - sum(map(stored, lengths)) - len(END)
            shares, left = [[]], room
            for filled in packs:
                need = stored(filled.size)
                if need > room:
                    raise VolumeTooSmall(
                        f"a volume of {size} bytes cannot hold its head and {need} bytes",
                        hint="choose a larger --volume-size",
                    )
                if need > left:
                    shares.append([])
                    left = room
                shares[-1].append(filled)
                left -= need
            if len(shares) <= guess:
                return shares

    def _stream(self, number: int) -> Iterator[bytes | memoryview]:
        """A volume from front to back."""
        yield encode_head(self._heads[number], self._mtime)
        for filled in self._shares[number]:
            yield header(blob_name(filled.pack().digest), filled.size, self._mtime)
            for data in fill.content(filled, self._found, self._pool):
                yield data
                self._progress.advance(len(data))
            yield bytes(padding(filled.size))
        yield END


class _PlainWriter(PendingFile):
    """An open volume, written from front to back."""

    def write(self, chunks: Iterator[bytes | memoryview]) -> str:
        """Writes `chunks` and makes them durable; returns the digest of all."""
        whole = hashlib.sha256()
        for chunk in chunks:
            whole.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(self._file, view) :]
            self.position += len(chunk)
        os.fsync(self._file)
        return digests.PREFIX + whole.hexdigest()
