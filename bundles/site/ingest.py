"""Importing volumes into a store: verify, store, make durable, switch.

All heads are read before any content, so that a refusal comes first and a preflight can tell what
is needed. Volumes may come in any order, in one call or in many; the refs switch when the last
layer is in. Killed anywhere, the same call made again goes on from what is already there. What is
good of a damaged volume stays, so that a repair bundle of the rest completes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from bundles import digest as digests
from bundles.errors import GooseError, shown
from bundles.files.hashing import HashedFile
from bundles.format.content import Content
from bundles.format.repair_request import RepairRequest, of_layers
from bundles.format.statement import Statement
from bundles.format.volume import BadVolume, Reader, Source
from bundles.progress import Preflight, Progress
from bundles.reading import beside
from bundles.reading.faults import raise_any
from bundles.reading.head import BaseDocuments, read_head, shares
from bundles.reading.media import find_volumes, open_regular
from bundles.reading.missing import MissingBase, refuse_missing
from bundles.reading.unpack import VolumeContent
from bundles.reading.verify import Authority, TrustedHead
from bundles.sealing import unseal
from bundles.sealing.agefile import Unwrapper
from bundles.signing.policy import Policy
from bundles.site.stored_base import StoredBase
from bundles.site.switch import check_version, switched
from bundles.store.errors import StoreFull
from bundles.store.protocol import Ingest, Store

# A store's files end on blocks of this many bytes, on every common file system.
_FILE_BLOCK = 4096


class MixedVolumes(GooseError):
    """The volumes given belong to different bundles."""

    code = "mixed-volumes"
    default_hint = "give the volumes of one bundle at a time, as in DIR/NAME-VERSION.*"


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    statement: Statement
    signers: tuple[str, ...]
    missing: tuple[int, ...]  # numbers of volumes still to come; none: the bundle is served now
    bytes_read: int  # of the volumes
    bytes_written: int  # into the store
    overruled: tuple[str, ...]  # codes of refusals that were overruled

    @property
    def state(self) -> str:
        """``complete`` or ``incomplete``."""
        return "incomplete" if self.missing else "complete"


@dataclass(frozen=True, slots=True)
class OpenVolume:
    """A volume whose head is verified; `reader` stands before its first layer."""

    path: Path
    file: BufferedReader
    reader: Reader
    head: TrustedHead
    lacking: MissingBase | None = None  # why `head` of a delta tells nothing of its content
    hashed: HashedFile | None = None  # where the whole file is to be hashed


def open_volumes(
    paths: Sequence[Path],
    authority: Authority,
    policy: Policy,
    stack: ExitStack,
    identities: Sequence[Unwrapper] = (),
    base: BaseDocuments | None = None,
    partly: bool = False,
    hashing: Collection[Path] = (),
) -> list[OpenVolume]:
    """Opens volumes of one bundle and verifies their heads, with the signatures beside them;
    `stack` closes them.

    `base` gives the documents that a delta builds on; where they are not to be had, `MissingBase`
    is raised, or, with `partly`, kept with the volume. Sealed volumes are opened with
    `identities`; those in `hashing` are hashed as they are read.

    Raises what `read_head` raises, `MixedVolumes`, `IdentityNeeded` or `WrongIdentity`.
    """
    volumes: list[OpenVolume] = []
    files = find_volumes(paths)
    signatures = beside.of_statements(paths, files)
    for path in files:
        file = stack.enter_context(open_regular(path))
        label = shown(path.name)
        hashed = stack.enter_context(HashedFile(file)) if path in hashing else None
        source: Source = hashed or file
        if file.peek(len(unseal.MAGIC)).startswith(unseal.MAGIC):
            if not identities:
                raise unseal.IdentityNeeded(f"{label} is sealed", volume=label)
            opened = unseal.OpenedVolume(hashed or file, label, identities)
            source = stack.enter_context(closing(opened))
        reader = Reader(source, label)
        head = TrustedHead(authority, policy, label, signatures[beside.stem(path)])
        lacking = read_head(reader, head, base)
        if lacking is not None and not partly:
            raise lacking
        if volumes and head.message != volumes[0].head.message:
            first = shown(volumes[0].path.name)
            raise MixedVolumes(f"{label} is not of the same bundle as {first}")
        volumes.append(OpenVolume(path, file, reader, head, lacking, hashed))
    return volumes


def import_volumes(
    paths: Sequence[Path],
    store: Store,
    authority: Authority,
    policy: Policy,
    progress: Progress,
    identities: Sequence[Unwrapper] = (),
    ask: Callable[[RepairRequest], None] | None = None,
) -> Imported:
    """Imports the volumes at `paths` into `store`; sealed ones are opened with `identities`.

    Volumes are read to their ends, whatever is damaged in them. `ask` is told, before this returns
    or raises, what the bundle lacks in the store, where it is not complete.

    Raises what the checks raise, several faults as `DamagedVolumes`, and `StoreFull`, `StoreBusy`
    or `StoreError`; what was served before is then still served, and layers that were verified
    stay for the next run.
    """
    faults: list[GooseError] = []
    with ExitStack() as stack:
        base = StoredBase(store)
        volumes = open_volumes(paths, authority, policy, stack, identities, base.documents)
        head = volumes[0].head
        said = head.statement
        check_version(store.refs(), said)
        ingest = stack.enter_context(store.ingest(said.root))
        stored = shares(head)
        try:
            refuse_missing(head, ingest.has)
        except MissingBase:
            _tell(ask, ingest, head)
            raise
        waiting = _waiting(ingest, stored, range(1, len(stored) + 1))
        new = [
            (volume, stored[volume.head.volume - 1])
            for volume in volumes
            if volume.head.volume in waiting
        ]
        progress.preflight(_preflight(store, ingest, new))
        written = _store_documents(ingest, head)
        if new:
            progress.start("importing", sum(c.layer.size for _, share in new for c in share))
        for volume, share in new:
            progress.volume(volume.path.name, volume.head.volume, len(stored))
            contents = VolumeContent(
                volume.reader, volume.head, ingest, progress, faults.append, base.open
            )
            try:
                contents.read(share)
            except BadVolume as fault:
                faults.append(fault)
            written += contents.stored
        progress.finish()
        overruled = head.overruled
        # Nothing was taken away meanwhile: the store is locked.
        missing = _waiting(ingest, stored, waiting)
        if missing or faults:
            ingest.checkpoint()
            _tell(ask, ingest, head)
            raise_any(faults)
        else:
            progress.start("making durable", None)
            ingest.publish(lambda refs: switched(refs, head, policy))
            progress.finish()
            recorded = store.refs().version(said.name, said.version)
            overruled = recorded.overruled if recorded else overruled
        return Imported(
            statement=said,
            signers=head.signers,
            missing=missing,
            bytes_read=sum(volume.file.tell() for volume in volumes),
            bytes_written=written,
            overruled=overruled,
        )


def _preflight(
    store: Store,
    ingest: Ingest,
    new: Sequence[tuple[OpenVolume, Sequence[Content]]],
) -> Preflight:
    """What the import of `new` volumes takes. Refuses before the first byte is written when the
    store has no room for the rest."""
    need = sum(
        -(-content.layer.size // _FILE_BLOCK) * _FILE_BLOCK
        for _, share in new
        for content in share
        if not ingest.has(content.digest, content.layer.size)
    )
    free = store.free()
    if free is not None and need > free:
        raise StoreFull(
            f"{store}: the import needs {need} bytes, {free} are free", needed=need, free=free
        )
    size = sum(os.fstat(volume.file.fileno()).st_size for volume, _ in new)
    return Preflight(len(new), size, need, free)


def _store_documents(ingest: Ingest, head: TrustedHead) -> int:
    """Stages statement, signatures and documents; returns their size in bytes."""
    written = 0
    for data in (*head.documents.values(), head.message, *head.signatures):
        digest = digests.of(data)
        if not ingest.has(digest, len(data)):
            ingest.put(digest, data)
            written += len(data)
    return written


def _waiting(
    ingest: Ingest, stored: Sequence[Sequence[Content]], among: Iterable[int]
) -> tuple[int, ...]:
    """The numbers of the volumes `among` these that store a layer which is not here."""
    return tuple(
        number
        for number in among
        if not all(ingest.has(c.digest, c.layer.size) for c in stored[number - 1])
    )


def _tell(ask: Callable[[RepairRequest], None] | None, ingest: Ingest, head: TrustedHead) -> None:
    """Asks for all of the bundle that is not here."""
    if ask is None:
        return
    here, said = ingest.has, head.statement
    layers = [c for c in head.contents if not here(c.digest, c.layer.size)]
    documents = [(d, len(data)) for d, data in head.documents.items() if not here(d, len(data))]
    ask(of_layers(said, layers, documents))
