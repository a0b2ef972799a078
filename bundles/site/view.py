"""A bundle to look at: its statement, its files, and those that its builder added.

From the heads of volumes or from a store; no content is read but an added file that is asked for,
and that by its offset.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import statement
from bundles.format.content import Content
from bundles.format.layout import RESERVED
from bundles.format.statement import MAX_STATEMENT, Statement
from bundles.format.volume import BLOCK, stored
from bundles.reading.head import shares
from bundles.reading.packs import by_volume
from bundles.reading.scan import DamagedBlob
from bundles.reading.verify import TrustedHead
from bundles.sealing.unseal import MAGIC
from bundles.site.catalog import Part, StoredFile, read_files
from bundles.site.ingest import OpenVolume
from bundles.store.protocol import BundleRef, Store

MAX_ADDED = 64 << 20  # bytes of a file that a builder added and a reader takes into memory
_MAX_UNSEALED = 64 << 20  # bytes that are opened for a file that nobody asked for by name


class NotAtHand(GooseError):
    """A file that a builder adds to a bundle cannot be read from what was given."""

    code = "not-at-hand"
    default_hint = "give the bundle's last volume too"


@dataclass(frozen=True, slots=True)
class View:
    """One bundle version. `added` gives the bytes of the added file with a title; it raises
    `NotAtHand`, `DamagedBlob`, `BadVolume` or `StoreError`."""

    statement: Statement
    files: Mapping[str, StoredFile]  # by path, in the order of the bundle
    added: Callable[[str], bytes]


def of_volumes(volumes: Sequence[OpenVolume], *, patient: bool = False) -> View:
    """The bundle of some open volumes. Of a sealed one all that stands before an added file must
    be opened: only if `patient`, or when it is little."""
    head = volumes[0].head
    return View(head.statement, files_of(head), _Added(volumes, patient))


def of_store(store: Store, ref: BundleRef) -> View:
    """An imported bundle. Raises `StoreError`."""
    said = statement.read(store.read(ref.statement, MAX_STATEMENT), f"{ref.name} {ref.version}")
    files = read_files(store, ref.root)

    def added(title: str) -> bytes:
        if title not in files:
            raise _none(title, said)
        return b"".join(store.read(part.digest, MAX_ADDED) for part in files[title].parts)

    return View(said, files, added)


def files_of(head: TrustedHead) -> dict[str, StoredFile]:
    """The files that a head names, by path."""
    found: dict[str, StoredFile] = {}
    contents = [(content.layer, content, content.file_digest) for content in head.contents]
    group: list[Content] = []
    for layer, content, whole in contents:
        group = [*group, content] if layer.part > 1 else [content]
        if layer.part == layer.parts:
            path = f"{content.folder}/{layer.path}" if content.folder else layer.path
            parts = tuple(Part(part.digest, part.layer.size) for part in group)
            size = sum(part.size for part in parts)
            found[path] = StoredFile(path, size, layer.mode, whole, parts)
    return found


class _Added:
    """Reads added files from volumes, each once and in their order: a sealed volume is a stream."""

    def __init__(self, volumes: Sequence[OpenVolume], patient: bool) -> None:
        self._head, self._patient = volumes[0].head, patient
        self._volumes = {volume.head.volume: volume for volume in volumes}
        self._starts = {number: volume.file.tell() for number, volume in self._volumes.items()}
        self._passed = dict.fromkeys(self._volumes, 0)  # bytes read behind the head
        self._read: dict[str, bytes] = {}

    def __call__(self, title: str) -> bytes:
        said = self._head.statement
        if all(content.artifact != title for content in self._head.contents):
            raise _none(title, said)
        for number, at, content in self._places():
            if content.artifact not in self._read:
                if number not in self._volumes:
                    raise NotAtHand(f"{title} is in volume {number}, which was not given")
                self._read[content.artifact] = self._layer(number, at, content)
            if content.artifact == title:
                return self._read[title]
        raise NotAtHand(
            f"{title} of {said.name} {said.version} is not in its volumes as it is",
            hint="import the bundle to read it",
        )

    def _places(self) -> Iterator[tuple[int, int, Content]]:
        """Each added file: its volume, and where its bytes begin there, counted from the end of
        the head."""
        counts = self._head.statement.volumes
        if self._head.delta is None:
            for number, share in enumerate(shares(self._head), 1):
                at = 0
                for content in share:
                    if _is_added(content):
                        yield number, at + BLOCK, content
                    at += stored(content.layer.size)
            return
        for number, packs in enumerate(by_volume(self._head.packs, counts), 1):
            at = 0
            for packed in packs:
                inside = at + BLOCK
                for made in packed.layers:
                    if _is_added(made.content) and not made.copies:
                        yield number, inside, made.content
                    inside += made.rest + sum(copy.literal for copy in made.copies)
                at += stored(packed.pack.size)

    def _layer(self, number: int, at: int, content: Content) -> bytes:
        volume, title, size = self._volumes[number], content.artifact, content.layer.size
        reader, ahead = volume.reader, at - self._passed[number]
        if size > MAX_ADDED:
            raise NotAtHand(f"{title} has {size} bytes", hint="import the bundle to read it")
        if os.pread(volume.file.fileno(), len(MAGIC), 0) != MAGIC:
            volume.file.seek(self._starts[number] + at)
        elif self._patient or ahead <= _MAX_UNSEALED:
            reader.skip(ahead, title)
        else:
            raise NotAtHand(
                f"{title} is at the end of a sealed volume",
                hint=f"ask for it alone: all that is before it, {ahead} bytes, must be opened",
            )
        data = reader.exactly(size, title)
        self._passed[number] = at + size
        if digests.of(data) != content.digest:
            raise DamagedBlob(f"{reader.label}: {title} is damaged", volume=reader.label)
        return data


def _is_added(content: Content) -> bool:
    return content.artifact.startswith(f"{RESERVED}/")


def _none(title: str, said: Statement) -> NotAtHand:
    return NotAtHand(
        f"{said.name} {said.version} holds no {title}",
        hint="it was built by an early goosectl: build it again",
    )
