"""Checking volumes without a store: every byte is read, every fault is named."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bundles.errors import GooseError
from bundles.ingest import open_volumes
from bundles.policy import Policy
from bundles.progress import Progress
from bundles.scan import Blob, ContentReader, shares
from bundles.seal import Identity
from bundles.statement import Statement
from bundles.verify import Authority
from bundles.volume import BadVolume


class DamagedVolumes(GooseError):
    """Several faults were found in the volumes of a bundle."""

    code = "damaged-volumes"
    default_hint = "copy these volumes again; if it stays, ask for a repair bundle"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found."""

    statement: Statement
    signers: tuple[str, ...]
    volumes: tuple[int, ...]  # numbers of those that were given
    missing: tuple[int, ...]
    remarks: tuple[str, ...]  # codes that an import here would refuse with
    faults: tuple[GooseError, ...]
    bytes_read: int

    def raise_faults(self) -> None:
        """Raises the one fault that was found, or `DamagedVolumes` naming all."""
        if len(self.faults) == 1:
            raise self.faults[0]
        if self.faults:
            lines = "\n  ".join(fault.message for fault in self.faults)
            raise DamagedVolumes(
                f"{len(self.faults)} faults:\n  {lines}",
                faults=[{"code": f.code, "message": f.message, **f.details} for f in self.faults],
            )


class _Nowhere:
    """A sink that keeps nothing."""

    def has(self, digest: str, size: int) -> bool:
        return False

    def put(self, digest: str, data: memoryview) -> None:
        pass

    def create(self, digest: str) -> Blob:
        return self

    def write(self, data: memoryview) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def check_volumes(
    paths: Sequence[Path],
    authority: Authority,
    policy: Policy,
    progress: Progress,
    identities: Sequence[Identity] = (),
) -> Checked:
    """Reads the volumes at `paths` to their ends.

    A head that cannot be trusted is raised at once; faults behind it are collected.
    """
    faults: list[GooseError] = []
    with ExitStack() as stack:
        volumes = open_volumes(paths, authority, policy, stack, identities)
        head = volumes[0].head
        stored = shares(head)
        wanted = [stored[volume.head.volume - 1] for volume in volumes]
        progress.start("verifying", sum(c.layer.size for share in wanted for c in share))
        for volume, share in zip(volumes, wanted, strict=True):
            try:
                ContentReader(volume.reader, _Nowhere(), progress, faults.append).read(share)
            except BadVolume as fault:
                faults.append(fault)
        progress.finish()
        present = {volume.head.volume for volume in volumes}
        count = len(head.statement.volumes)
        return Checked(
            statement=head.statement,
            signers=head.signers,
            volumes=tuple(sorted(present)),
            missing=tuple(sorted(set(range(1, count + 1)) - present)),
            remarks=head.overruled,
            faults=tuple(faults),
            bytes_read=sum(volume.file.tell() for volume in volumes),
        )
