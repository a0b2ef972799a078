"""Turns a plan's content into volumes, open or sealed, under temporary names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bundles.files.pending import PendingFile
from bundles.format import layout, statement
from bundles.format.statement import Statement, parse_time
from bundles.format.volume import MAX_TIME, blob_name
from bundles.making import writer
from bundles.making.found import Found
from bundles.making.plan import ContentConflict, Documents, Plan
from bundles.progress import Progress
from bundles.signing import sshsig
from bundles.signing.keys import Signer


class Assembly:
    """One build at work: all content is hashed first, so that a volume is written from front to
    back. After construction `statement` and `message` are final."""

    def __init__(
        self,
        plan: Plan,
        signers: Sequence[Signer],
        pool: ThreadPoolExecutor,
        progress: Progress,
    ) -> None:
        self._plan, self._signers, self._progress = plan, signers, progress
        self._mtime = entry_time(plan.statement)
        self.count = len(plan.statement.volumes)
        self._found = Found(plan, pool, progress)
        for _ in self._found.content():
            pass
        self._documents = self._found.documents()
        refuse_own_documents(self._documents, self._found.seen)
        self.statement = replace(plan.statement, root=self._documents.root.digest)
        self.message = self.statement.encode()

    def write(self, files: Sequence[PendingFile]) -> list[str]:
        """Writes the volumes into `files` and makes them durable; returns their digests."""
        self._progress.start("building", self.statement.totals.bytes)
        hashes = writer.write(files, self._streams(), self._progress)
        self._progress.finish()
        return hashes

    def _streams(self) -> Iterator[Iterator[bytes | bytearray | memoryview]]:
        """Each volume but for its end. What one holds is in no other."""
        written = {layout.EMPTY_DIGEST}
        start = 0
        for head, count in zip(self._heads(), self.statement.volumes, strict=True):
            numbers = []
            for number in range(start, start + count):
                if (digest := self._found.digests[number]) not in written:
                    written.add(digest)
                    numbers.append(number)
                else:
                    layer = self._plan.pieces[number].layer
                    self._progress.advance(layer.size, layer.path)
            start += count
            yield self._stream(head, numbers)

    def _stream(
        self, head: bytes, numbers: Sequence[int]
    ) -> Iterator[bytes | bytearray | memoryview]:
        yield head
        content = (
            (piece, self._found.digests[number], item)
            for number, (piece, item) in zip(numbers, self._found.again(numbers), strict=True)
        )
        yield from writer.layers(content, self._mtime, self._progress)

    def _heads(self) -> Iterator[bytes]:
        """The head of each volume, signed."""
        signatures = [sshsig.sign(self.message, s, sshsig.BUNDLE) for s in self._signers]
        documents = self._documents
        for number in range(1, self.count + 1):
            index = layout.encode_layout_index(
                documents.root, self.statement.version, documents.artifacts, number, self.count
            )
            entries = head_entries(index, self.message, signatures, documents.entries)
            head = writer.encode_head(entries, self._mtime)
            planned = self._plan.head_size(number)
            if len(head) != planned:
                raise AssertionError(f"planned a head of {planned} bytes, made {len(head)}")
            yield head


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
