"""Volumes that hold packs, written from front to back: of a delta, and of a repair.

All that goes in is known before the first byte is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from bundles import digest as digests
from bundles.files.pending import PendingFile
from bundles.format import layout
from bundles.format.statement import Reference, Statement
from bundles.format.volume import END, blob_name, header, padding, stored
from bundles.making import writer
from bundles.making.assemble import entry_time, head_entries
from bundles.making.plan import Documents, VolumeTooSmall
from bundles.progress import Progress
from bundles.reading import patch
from bundles.reading.base import BaseBundle
from bundles.reading.delta import Delta, Pack
from bundles.signing import sshsig
from bundles.signing.keys import Signer

Reader = Callable[[], Iterator[bytes | memoryview]]


@dataclass(frozen=True, slots=True)
class Content:
    """What volumes of packs hold. `statement` lacks root, base and volumes."""

    statement: Statement
    documents: Documents
    bundles: tuple[BaseBundle, ...]  # that must be at the site
    base_documents: bytes | None  # of these; None: the documents stand in full
    blobs: tuple[Reference, ...]  # base blobs that copies read
    packs: tuple[tuple[Pack, Reader], ...]  # each with what reads its bytes

    def entries(self) -> list[tuple[str, bytes]]:
        """The documents of a head by digest: the delta document, then the patch or the bundle's
        own in full."""
        new = b"".join(data for _, data in self.documents.entries[:-1])
        old = self.base_documents
        if old is None or max(len(old), len(new)) > patch.MAX_CONTENT:
            rest, said = list(self.documents.entries), None
        else:
            made = patch.compress(new, old)
            said = Reference(digests.of(made), len(made))
            rest = [(said.digest, made)]
        packs = tuple(pack for pack, _ in self.packs)
        encoded = Delta(self.bundles, said, self.blobs, packs).encode()
        return [(digests.of(encoded), encoded), *rest]


class PackVolumes:
    """The volumes of `content`, none of more than `volume_size` bytes if that is given.

    After construction `statement`, `message` and `count` are final. Raises `VolumeTooSmall`.
    """

    def __init__(
        self,
        content: Content,
        signers: Sequence[Signer],
        volume_size: int | None,
        progress: Progress,
    ) -> None:
        self._content, self._progress = content, progress
        self._mtime = entry_time(content.statement)
        entries = content.entries()
        lengths = [sshsig.signature_length(s.public, sshsig.BUNDLE) for s in signers]
        self._shares = self._split(entries, lengths, volume_size)
        self.count = len(self._shares)
        self.statement = self._stated(entries, tuple(map(len, self._shares)))
        self.message = self.statement.encode()
        signatures = [sshsig.sign(self.message, s, sshsig.BUNDLE) for s in signers]
        self._heads = [
            head_entries(self._index(k, self.count), self.message, signatures, entries)
            for k in range(1, self.count + 1)
        ]
        self._size = sum(pack.size for pack, _ in content.packs)

    def write(self, files: Sequence[PendingFile]) -> list[str]:
        """Writes the volumes into `files` and makes them durable; returns their digests."""
        self._progress.start("building", self._size)
        streams = (self._stream(number) for number in range(self.count))
        hashes = writer.write(files, streams, self._progress)
        self._progress.finish()
        return hashes

    def _stated(self, entries: Sequence[tuple[str, bytes]], volumes: tuple[int, ...]) -> Statement:
        digest, data = entries[0]
        return replace(
            self._content.statement,
            root=self._content.documents.root.digest,
            base=Reference(digest, len(data)),
            volumes=volumes,
        )

    def _index(self, number: int, count: int) -> bytes:
        documents, version = self._content.documents, self._content.statement.version
        return layout.encode_layout_index(
            documents.root, version, documents.artifacts, number, count
        )

    def _split(
        self, entries: Sequence[tuple[str, bytes]], signatures: Sequence[int], size: int | None
    ) -> list[list[tuple[Pack, Reader]]]:
        """The packs of each volume, filled in order."""
        packs = self._content.packs
        if size is None:
            return [list(packs)]
        shares: list[list[tuple[Pack, Reader]]] = [[]]
        while True:
            # No count has more digits than their sum: this head is as long as any.
            guess = len(shares)
            worst = self._stated(entries, (len(packs),) * guess).encode()
            lengths = [len(layout.OCI_LAYOUT), len(self._index(guess, guess)), len(worst)]
            lengths += [*signatures, *(len(data) for _, data in entries)]
            room = size - sum(map(stored, lengths)) - len(END)
            shares, left = [[]], room
            for pack, read in packs:
                need = stored(pack.size)
                if need > room:
                    raise VolumeTooSmall(
                        f"a volume of {size} bytes cannot hold its head and {need} bytes",
                        hint="choose a larger --volume-size",
                    )
                if need > left:
                    shares.append([])
                    left = room
                shares[-1].append((pack, read))
                left -= need
            if len(shares) <= guess:
                return shares

    def _stream(self, number: int) -> Iterator[bytes | memoryview]:
        """A volume from front to back, but for its end."""
        yield writer.encode_head(self._heads[number], self._mtime)
        for pack, read in self._shares[number]:
            yield header(blob_name(pack.digest), pack.size, self._mtime)
            for data in read():
                yield data
                self._progress.advance(len(data))
            yield bytes(padding(pack.size))
