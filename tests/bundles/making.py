"""A workshop for tests: real keys, a real trust root, real volumes, and tools to spoil them."""

from __future__ import annotations

import random
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bundles.format.statement import Statement, Totals
from bundles.making import build
from bundles.making.plan import Plan
from bundles.making.volumebase import BaseVolumes
from bundles.progress import SILENT
from bundles.reading.base import Base
from bundles.sealing import seal
from bundles.signing import keys, policy, sshsig, trust
from bundles.signing.keys import FileSigner, Signer
from bundles.site import check, ingest
from bundles.sources import Artifact, files, tree
from bundles.store import open_store
from bundles.store.local import LocalStore

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


class Workshop:
    """Makes a bundle of a small tree, signs it, and imports it at a site that trusts the key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path, public = keys.new_signing(folder / "keys", "release")
        self.signer: FileSigner = keys.load_private(path)
        self.root = trust.first([(public, "release")], 1)
        self.tree = folder / "tree"
        for name, data in CONTENT.items():
            target = self.tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        (self.tree / "bin/run.sh").chmod(0o755)
        self.store: LocalStore = open_store(folder / "store")

    def artifacts(self) -> list[Artifact]:
        """The tree under `os`, and one file of it under `extra/motd`."""
        return [tree.expand(self.tree, "os"), files.expand(self.tree / "etc/motd", "extra/motd")]

    def draft(self, **fields: object) -> Statement:
        """A statement of version 1.0.0, with other fields where given."""
        plain = Statement("base", "1.0.0", 1, (), "", 0, Totals(0, 0, 0, 0, 0, 0), ())
        return replace(plain, **fields)  # type: ignore[arg-type]

    def build(
        self,
        draft: Statement | None = None,
        artifacts: Sequence[Artifact] | None = None,
        signers: Iterable[Signer] | None = None,
        volume_size: int | None = None,
        out: str = "out",
        recipients: Sequence[seal.Recipient] = (),
        base: Base | None = None,
    ) -> list[Path]:
        """The volumes."""
        used: list[Signer] = [self.signer] if signers is None else list(signers)
        plan = Plan(
            self.artifacts() if artifacts is None else artifacts,
            draft or self.draft(),
            [sshsig.signature_length(signer.public, sshsig.BUNDLE) for signer in used],
            volume_size,
        )
        return list(build.build(plan, used, self.folder / out, SILENT, recipients, base).volumes)

    def since(self, *paths: Path) -> Base:
        """What a site has that was sent these volumes."""
        return self.volumes(*paths).base()

    def volumes(self, *paths: Path) -> BaseVolumes:
        """These volumes as a base."""
        return BaseVolumes(paths, self.root, policy.Policy(NOW))

    def import_(
        self, *paths: Path, allow: Iterable[str] = (), site: str | None = None
    ) -> ingest.Imported:
        """Imports into the site's store, at NOW."""
        rules = policy.Policy(NOW, lambda: site, self.store.refs().sequences, frozenset(allow))
        return ingest.import_volumes(paths, self.store, self.root, rules, SILENT)

    def check(self, *paths: Path) -> check.Checked:
        """Reads volumes to their ends, without a store; raises what is wrong with them."""
        checked = check.check_volumes(paths, self.root, policy.Policy(NOW), SILENT)
        checked.raise_faults()
        return checked

    def spoiled(self, volume: Path, change: Callable[[bytearray], None]) -> Path:
        """A copy of `volume` with its bytes changed."""
        data = bytearray(volume.read_bytes())
        change(data)
        copy = volume.with_name("spoiled.goose.tar")
        copy.write_bytes(data)
        return copy

    def repacked(
        self, volume: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]
    ) -> Path:
        """A copy of `volume` with its entries changed, written by Python's tarfile."""
        entries = read_entries(volume)
        change(entries)
        copy = volume.with_name("repacked.goose.tar")
        copy.write_bytes(pack(entries))
        return copy


def read_entries(volume: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    """All entries of a volume, in order."""
    with tarfile.open(volume) as archive:
        found = []
        for info in archive:
            file = archive.extractfile(info)
            found.append((info, file.read() if file else b""))
        return found


def pack(entries: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A tar as the format prescribes it, but for what the entries themselves are."""
    parts = []
    for info, data in entries:
        block = info.tobuf(tarfile.USTAR_FORMAT)
        if info.isreg() and not info.name.startswith(("/", "..")) and info.mode == 0o644:
            from bundles.format.volume import header

            block = header(info.name, len(data), int(info.mtime))
        parts += [block, data, bytes(-len(data) % 512)]
    return b"".join(parts) + bytes(1024)


def entry(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    """An entry that does not belong."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, len(data), 0o644
    return info, data


CONTENT = {
    "bin/run.sh": b"#!/bin/sh\necho run\n",
    "etc/motd": b"welcome\n",
    "etc/issue": b"welcome\n",  # the same bytes: stored once
    "empty": b"",
    "lib/large.bin": random.Random(1).randbytes(512 * 1024),  # read in chunks
}
