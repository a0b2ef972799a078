"""Checking volumes without a store: every byte is read, every fault is named."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol, Self

from bundles.errors import GooseError
from bundles.format.content import Content
from bundles.format.repair_request import RepairRequest, of_layers
from bundles.format.statement import Statement
from bundles.format.volume import BadVolume
from bundles.progress import Progress
from bundles.reading.base import BaseBundle, BlobReader
from bundles.reading.faults import raise_any
from bundles.reading.head import shares
from bundles.reading.missing import MissingBase
from bundles.reading.scan import Blob
from bundles.reading.tally import Tally, more_exact
from bundles.reading.unpack import VolumeContent
from bundles.reading.verify import Authority
from bundles.reading.wholes import Wholes
from bundles.sealing.agefile import Unwrapper
from bundles.signing.policy import Policy
from bundles.site.ingest import open_volumes


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found."""

    statement: Statement
    signers: tuple[str, ...]
    volumes: tuple[int, ...]  # numbers of those that were given
    missing: tuple[int, ...]
    remarks: tuple[str, ...]  # codes that an import here would refuse with
    faults: tuple[GooseError, ...]
    bad: tuple[Content, ...]  # layers that these volumes should hold, and do not hold whole
    bytes_read: int
    unchecked: int = 0  # layers of a delta that its packs alone do not make, for want of a base
    lacking: MissingBase | None = None  # why nothing is known of a delta's files

    def raise_faults(self) -> None:
        """Raises the one fault that was found, or `DamagedVolumes` naming all."""
        raise_any(self.faults)

    def request(self) -> RepairRequest:
        """What to ask for in place of `bad`; an import of these volumes keeps all the rest."""
        return of_layers(self.statement, self.bad)


class _Ledger:
    """A sink that keeps nothing but which layers are good, and whether parts make their files."""

    def __init__(self, wholes: Wholes) -> None:
        self.good: set[str] = set()
        self._wholes, self._one = wholes, Lock()  # small layers come from several threads

    def has(self, digest: str, size: int) -> bool:
        return False

    def put(self, digest: str, data: memoryview) -> None:
        with self.create(digest) as entry:
            entry.write(data)

    def create(self, digest: str) -> Blob:
        return _Entry(self, digest, self._wholes, self._one)


@dataclass(frozen=True, slots=True)
class _Entry:
    ledger: _Ledger
    digest: str
    wholes: Wholes
    one: Lock

    def write(self, data: memoryview) -> None:
        self.wholes.feed(data)

    def __enter__(self) -> Self:
        self.one.acquire()
        self.wholes.begin(self.digest)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.wholes.end(error is None)
        self.one.release()
        if error is None:
            self.ledger.good.add(self.digest)


class Known(Protocol):
    """What a delta builds on, where it is at hand."""

    def documents(self, bundles: Sequence[BaseBundle]) -> bytes:
        """See `head.BaseDocuments`."""

    def open(self, digest: str) -> BlobReader:
        """Opens a blob that copies read."""

    def has(self, digest: str) -> bool:
        """Whether it can be opened."""


def check_volumes(
    paths: Sequence[Path],
    authority: Authority,
    policy: Policy,
    progress: Progress,
    identities: Sequence[Unwrapper] = (),
    base: Known | None = None,
    tally: Tally | None = None,
) -> Checked:
    """Reads the volumes at `paths` to their ends; those that `tally` expects to be, to the byte,
    what a list names are hashed in the same pass.

    What of a delta needs its base is checked where `base` has it. A head that cannot be trusted is
    raised at once, with the faults of the tally; faults behind it are collected.
    """
    tally = tally or Tally()
    faults: list[GooseError] = []
    with ExitStack() as stack:
        try:
            volumes = open_volumes(
                paths,
                authority,
                policy,
                stack,
                identities,
                base.documents if base else None,
                partly=True,
                hashing=tally.expected,
            )
        except GooseError as error:
            raise_any(more_exact(tally.faults, [error]))
            raise
        volumes.sort(key=lambda volume: volume.head.volume)  # parts of a file follow one another
        head = volumes[0].head
        stored = shares(head)
        promised = [stored[volume.head.volume - 1] for volume in volumes]
        needed = head.delta.blobs if head.delta else ()
        whole = base is not None and all(base.has(blob.digest) for blob in needed)
        progress.start("verifying", sum(c.layer.size for share in promised for c in share))
        wholes = Wholes(head.contents)
        ledger, unchecked = _Ledger(wholes), set[str]()
        count = len(head.statement.volumes)
        for volume, share in zip(volumes, promised, strict=True):
            progress.volume(volume.path.name, volume.head.volume, count)
            known = len(faults)
            content = VolumeContent(
                volume.reader,
                volume.head,
                ledger,
                progress,
                faults.append,
                base.open if base and whole else None,
            )
            try:
                content.read(share)
            except BadVolume as fault:
                faults.append(fault)
            unchecked.update(c.digest for c in content.unchecked)
            if volume.hashed and len(faults) == known:  # else it is told already, and more exactly
                faults += tally.compare(volume.path, volume.hashed.digest())
        progress.finish()
        if not faults:  # else it is open what the parts of some file are
            faults += wholes.faults(f"{head.statement.name} {head.statement.version}")
        present = {volume.head.volume for volume in volumes}
        settled = ledger.good | unchecked
        return Checked(
            statement=head.statement,
            signers=head.signers,
            volumes=tuple(sorted(present)),
            missing=tuple(sorted(set(range(1, count + 1)) - present)),
            remarks=head.overruled,
            faults=tuple(more_exact(tally.faults, faults)),
            bad=tuple(c for share in promised for c in share if c.digest not in settled),
            bytes_read=sum(volume.file.tell() for volume in volumes),
            unchecked=len(unchecked),
            lacking=volumes[0].lacking,
        )
