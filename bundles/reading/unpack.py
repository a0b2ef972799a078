"""Reading what follows the head of any volume: layers as they are, or packs that make layers.

17. Every pack has the digest that the delta document gives.

Layers that packs make pass check 11 as others do; nothing is kept of one that does not.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format.content import Content
from bundles.format.volume import CHUNK, Reader, blob_name, padding
from bundles.progress import Progress
from bundles.reading.base import BlobReader
from bundles.reading.delta import Copy, Pack
from bundles.reading.packs import Made, Packed, by_volume
from bundles.reading.scan import ContentReader, DamagedBlob, Fault, Sink
from bundles.reading.verify import TrustedHead

_LARGE = 64 * 1024  # bytes; shorter stretches are hashed at once


class DamagedBase(GooseError):
    """A layer made of base blobs does not come out right, though the volume is good."""

    code = "damaged-base"
    default_hint = "a blob of the base is damaged: goosectl store fsck says which"


class _Mismatch(Exception):
    """Takes a layer that is not what it should be back out of the sink."""


class VolumeContent:
    """Checks 10 to 12 and 17 over one volume, whose head is `head`.

    `base` opens a blob that copies read; None where there is no base: then layers made with copies
    are not made, and `unchecked` has them. `damaged` is as in `ContentReader`.
    """

    def __init__(
        self,
        reader: Reader,
        head: TrustedHead,
        sink: Sink,
        progress: Progress,
        damaged: Callable[[Fault], None],
        base: Callable[[str], BlobReader] | None,
    ) -> None:
        self._reader, self._head, self._sink = reader, head, sink
        self._progress, self._damaged, self._base = progress, damaged, base
        self._layers = ContentReader(reader, sink, progress, damaged)
        self._made = 0  # bytes of layers made by packs
        self._blobs = head.delta.blobs if head.delta else ()
        self._open: tuple[str, BlobReader] | None = None  # the base blob that was read last
        self.unchecked: list[Content] = []

    @property
    def stored(self) -> int:
        """Bytes given to the sink."""
        return self._layers.stored + self._made

    def read(self, share: Sequence[Content]) -> None:
        """Reads all that the volume holds, the layers `share`, and its end."""
        delta, counts, number = self._head.delta, self._head.statement.volumes, self._head.volume
        if delta is None:
            self._layers.read(share)
            return
        if len(self._head.packs) < len(delta.packs):
            self._read_bare(by_volume(delta.packs, counts)[number - 1])
            return
        packs = by_volume(self._head.packs, counts)[number - 1]
        try:
            with ThreadPoolExecutor(2) as self._pool:
                for whole, group in itertools.groupby(packs, lambda packed: packed.is_layer):
                    if whole:
                        self._layers.take([c for packed in group for c in packed.contents])
                    else:
                        for packed in group:
                            self._pack(packed)
        finally:
            if self._open is not None:
                self._open[1].close()
        self._reader.end()  # check 12

    def _read_bare(self, packs: Sequence[Pack]) -> None:
        """Checks packs of which nothing is known but their digests."""
        for pack in packs:
            self._reader.expect(blob_name(pack.digest), pack.size)  # check 17
            start, whole = self._reader.position, hashlib.sha256()
            for data in self._reader.pieces(pack.size, pack.digest):
                whole.update(data)
            if digests.PREFIX + whole.hexdigest() != pack.digest:  # check 17
                where = self._reader.label
                self._damaged(
                    DamagedBlob(
                        f"{where}: {pack.size} bytes at {start} of the volume do not hash to"
                        f" {pack.digest}",
                        volume=where,
                        digest=pack.digest,
                        offset=start,
                        length=pack.size,
                    )
                )
            self._reader.pad(pack.size, pack.digest)
        self._reader.end()  # check 12

    def _pack(self, packed: Packed) -> None:
        pack = packed.pack
        self._reader.expect(blob_name(pack.digest), pack.size)
        if all(self._sink.has(c.digest, c.layer.size) for c in packed.contents):
            self._reader.skip(pack.size + padding(pack.size), pack.digest)
            self._progress.advance(sum(c.layer.size for c in packed.contents), packed.name)
            return
        whole = hashlib.sha256()
        starts = []
        for made in packed.layers:
            start = self._reader.position
            if not self._layer(made, whole):
                starts.append((made, start))
        good = digests.PREFIX + whole.hexdigest() == pack.digest  # check 17
        if not good and not starts:
            starts.append((packed.layers[0], self._reader.position - pack.size))
        for made, start in starts:
            self._damaged(self._fault(made, start, good))
        self._reader.pad(pack.size, pack.digest)

    def _layer(self, made: Made, whole: hashlib._Hash) -> bool:
        """Makes one layer, the bytes it takes from the pack going into `whole` too; returns
        whether it is good, or need not be."""
        content = made.content
        size, digest = content.layer.size, content.digest
        if self._sink.has(digest, size) or (made.copies and self._base is None):
            if not self._sink.has(digest, size):
                self.unchecked.append(content)
            for count in (*(copy.literal for copy in made.copies), made.rest):
                for chunk in self._reader.pieces(count, content.name):
                    whole.update(chunk)
            self._progress.advance(size, content.name)
            return True
        hashed = hashlib.sha256()
        try:
            with self._sink.create(digest) as blob:
                work: list[Future[None]] = []
                for chunk, hashes in self._bytes(made, hashed, whole):
                    wait(work)
                    if len(chunk) < _LARGE:
                        for each in hashes:
                            each.update(chunk)
                    else:
                        work = [self._pool.submit(each.update, chunk) for each in hashes]
                    blob.write(memoryview(chunk))
                    self._progress.advance(len(chunk), content.name)
                wait(work)
                if digests.PREFIX + hashed.hexdigest() != digest:  # check 11
                    raise _Mismatch
        except _Mismatch:
            return False
        self._made += size
        return True

    def _bytes(
        self, made: Made, layer: hashlib._Hash, whole: hashlib._Hash
    ) -> Iterator[tuple[bytes | memoryview, tuple[hashlib._Hash, ...]]]:
        """The bytes of a layer, and the hashes that they go into."""
        for copy in made.copies:
            for chunk in self._reader.pieces(copy.literal, made.content.name):
                yield chunk, (layer, whole)
            for chunk in self._copied(copy):
                yield chunk, (layer,)
        for chunk in self._reader.pieces(made.rest, made.content.name):
            yield chunk, (layer, whole)

    def _copied(self, copy: Copy) -> Iterator[bytes]:
        if self._base is None:
            raise AssertionError("a layer is made with copies only where there is a base")
        digest = self._blobs[copy.blob].digest
        if self._open is None or self._open[0] != digest:
            if self._open is not None:
                self._open[1].close()
            self._open = digest, self._base(digest)
        file = self._open[1]
        file.seek(copy.offset)
        left = copy.size
        while left and (chunk := file.read(min(left, CHUNK))):
            left -= len(chunk)
            yield chunk

    def _fault(self, made: Made, start: int, good: bool) -> Fault:
        content = made.content
        where = self._reader.label
        if good and made.copies:
            return DamagedBase(
                f"{where}: {content.path}, made of what is here, does not come out as"
                f" {content.digest}",
                volume=where,
                entry=content.name,
                path=content.path,
                digest=content.digest,
                sources=sorted({self._blobs[c.blob].digest for c in made.copies}),
            )
        size = made.rest + sum(copy.literal for copy in made.copies)
        return DamagedBlob(
            f"{where}: {content.path} is damaged: with the {size} bytes at {start} of the volume"
            f" it does not hash to {content.digest}",
            volume=where,
            entry=content.name,
            path=content.path,
            digest=content.digest,
            offset=start,
            length=size,
        )
