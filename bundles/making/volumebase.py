"""The base of a delta, read from the volumes of the bundle that the site was sent.

Nothing that is signed now rests on a base: a site that has not what the volumes say refuses the
delta, and every layer made of a base is hashed. So any good signature will do.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format.chunks import WORTHWHILE, Chunk, cut
from bundles.format.volume import BLOCK, stored
from bundles.reading.base import Base, BaseBundle
from bundles.reading.delta import Delta
from bundles.reading.head import shares
from bundles.reading.media import find_volumes
from bundles.reading.missing import missing_bundles
from bundles.reading.packs import Made, by_volume
from bundles.reading.verify import Authority
from bundles.sealing.unseal import IdentityNeeded
from bundles.signing.policy import Policy
from bundles.site.ingest import OpenVolume, open_volumes


class DamagedBaseVolume(GooseError):
    """A volume given as a base cannot be read, or is not what it was when it was built."""

    code = "damaged-base-volume"
    default_hint = "give a good copy of it, or leave that volume out: one volume is enough"


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes of a blob in a volume."""

    path: Path
    offset: int  # bytes into the file
    size: int  # bytes


class BaseVolumes:
    """The blobs and documents in open volumes of any number of bundles.

    Volumes may be missing: what they hold is then known by name only. Raises what
    `ingest.open_volumes` raises; `MissingBase` for a delta whose own base is not among them.
    """

    def __init__(self, paths: Sequence[Path], authority: Authority, policy: Policy) -> None:
        self.bundles: dict[str, BaseBundle] = {}  # by root
        self.layers: dict[str, int] = {}  # digest: size in bytes, of all bundles
        self._documents: dict[str, bytes] = {}  # by root
        self._extents: dict[str, tuple[Extent, ...]] = {}
        self._built_on: set[str] = set()  # roots
        self._authority, self._policy = authority, policy
        waiting = find_volumes(paths)
        while waiting:
            later = [path for path in waiting if not self._add(path)]
            if len(later) == len(waiting):
                self._open(later[0], partly=False)  # raises: nothing makes it known
            waiting = later

    def base(self) -> Base:
        """What a site has that was sent these bundles: its newest ones, on which no other one
        here builds."""
        tips = tuple(b for root, b in self.bundles.items() if root not in self._built_on)
        return Base(tips, self.layers, self.documents(tips), self.chunks, self.read)

    def documents(self, bundles: Sequence[BaseBundle]) -> bytes:
        """The documents of `bundles`, as `head.read_head` takes them. Raises `MissingBase`."""
        try:
            return b"".join(self._documents[bundle.root] for bundle in bundles)
        except KeyError as error:
            raise missing_bundles("the delta", bundles) from error

    def has(self, digest: str) -> bool:
        """Whether the bytes of a blob are here."""
        return digest in self._extents

    def open(self, digest: str) -> BlobFile:
        """The bytes of a blob that is here."""
        return BlobFile(self._extents[digest])

    def read(self, digest: str, offset: int, count: int) -> bytes:
        """Bytes of a blob; none where its volume is not here."""
        if digest not in self._extents:
            return b""
        with self.open(digest) as file:
            file.seek(offset)
            return file.read(count)

    def chunks(self, wanted: Collection[str]) -> Iterator[tuple[str, Chunk]]:
        """The chunks of those of the blobs `wanted` that are here and worth cutting, in the order
        of the volumes. Raises `DamagedBaseVolume` for a blob that does not hash to its name."""
        for digest, extents in self._extents.items():
            if digest not in wanted or self.layers[digest] < WORTHWHILE:
                continue
            with self.open(digest) as file:
                source = _Hashing(file)
                found = list(cut(source))
            if source.digest != digest:
                raise DamagedBaseVolume(
                    f"{extents[0].path}: {digest} does not hash to its name",
                    volume=str(extents[0].path),
                )
            for chunk in found:
                yield digest, chunk

    def _add(self, path: Path) -> bool:
        """Takes a volume, unless it is of a delta whose base is not known yet."""
        volume = self._open(path, partly=True)
        if volume is None:
            return False
        head = volume.head
        said = head.statement
        self.bundles[said.root] = BaseBundle(said.name, said.version, said.root)
        documents = list(head.documents.values())[:-1]  # the empty config is last
        self._documents[said.root] = b"".join(documents)
        self.layers.update((c.digest, c.layer.size) for c in head.contents)
        at = volume.reader.position
        if head.delta is None:
            for content in shares(head)[head.volume - 1]:
                at = self._take(content.digest, content.layer.size, path, at)
            return True
        self._built_on.update(b.root for b in head.delta.bundles if b.root != said.root)
        for packed in by_volume(head.packs, said.volumes)[head.volume - 1]:
            data = at + BLOCK
            for made in packed.layers:
                data = self._compose(made, head.delta, path, data)
            at += stored(packed.pack.size)
        return True

    def _take(self, digest: str, size: int, path: Path, at: int) -> int:
        self._extents[digest] = (Extent(path, at + BLOCK, size),)
        return at + stored(size)

    def _compose(self, made: Made, delta: Delta, path: Path, at: int) -> int:
        """Notes where the bytes of a layer are that a pack makes; `at` is where its literal bytes
        begin, the result where they end."""
        extents: list[Extent] = []
        known = True
        for copy in made.copies:
            extents.append(Extent(path, at, copy.literal))
            at += copy.literal
            blob = delta.blobs[copy.blob].digest
            known = known and blob in self._extents
            if known:
                extents += _cut_out(self._extents[blob], copy.offset, copy.size)
        extents.append(Extent(path, at, made.rest))
        if known:
            self._extents[made.content.digest] = tuple(e for e in extents if e.size)
        return at + made.rest

    def _open(self, path: Path, partly: bool) -> OpenVolume | None:
        """A volume with its head read, closed again; None where its base is not known."""
        with ExitStack() as stack:
            try:
                (volume,) = open_volumes(
                    [path],
                    self._authority,
                    self._policy,
                    stack,
                    base=self.documents,
                    partly=partly,
                )
            except IdentityNeeded as error:
                raise IdentityNeeded(
                    f"{error.message}, and a base must be open",
                    hint="give the bundle's open volumes, or the site's receipt",
                ) from error
            return None if volume.lacking else volume


class BlobFile:
    """The bytes of a blob, wherever they lie: a context manager."""

    def __init__(self, extents: Sequence[Extent]) -> None:
        self._extents = extents
        self._position = 0
        self._file: tuple[Path, int] | None = None  # the one open now

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes what is open."""
        if self._file is not None:
            os.close(self._file[1])
            self._file = None

    def seek(self, offset: int, /) -> int:
        """Goes to `offset` bytes from the start."""
        self._position = offset
        return offset

    def read(self, count: int, /) -> bytes:
        """At most `count` bytes; fewer only at the end. Raises `DamagedBaseVolume`."""
        parts = []
        for extent in _cut_out(self._extents, self._position, count):
            data = os.pread(self._descriptor(extent.path), extent.size, extent.offset)
            if len(data) < extent.size:
                raise DamagedBaseVolume(f"{extent.path} is cut short", volume=str(extent.path))
            parts.append(data)
        data = b"".join(parts)
        self._position += len(data)
        return data

    def _descriptor(self, path: Path) -> int:
        if self._file is None or self._file[0] != path:
            self.close()
            self._file = path, os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return self._file[1]


class _Hashing:
    """A stream that is hashed as it is read."""

    def __init__(self, file: BlobFile) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def read(self, count: int, /) -> bytes:
        data = self._file.read(count)
        self._hash.update(data)
        return data

    @property
    def digest(self) -> str:
        return digests.PREFIX + self._hash.hexdigest()


def _cut_out(extents: Sequence[Extent], offset: int, size: int) -> list[Extent]:
    """Where `size` bytes at `offset` of what `extents` make up are."""
    found = []
    for extent in extents:
        if size and offset < extent.size:
            count = min(size, extent.size - offset)
            found.append(Extent(extent.path, extent.offset + offset, count))
            size -= count
            offset = extent.size
        offset -= extent.size
    return found
