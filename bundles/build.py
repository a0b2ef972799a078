"""From a plan to signed volumes on disk, in one pass over the content.

Each volume is written under a temporary name with room left for its head. Layers are hashed while
they are written; one whose digest came before is overwritten by the next. When all digests are
known the heads are filled in, everything is made durable, and only then do the volumes get their
names, and last the signed list that names them.
"""

from __future__ import annotations

import errno
import glob
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bundles import canonical, gather, layout, sshsig
from bundles import digest as digests
from bundles.errors import GooseError
from bundles.gather import Large
from bundles.keys import Signer
from bundles.plan import STATEMENT_NAME, ContentConflict, Documents, Plan, signature_name
from bundles.progress import Progress
from bundles.statement import FORMAT, Statement, parse_time
from bundles.store import durable
from bundles.volume import blob_name
from bundles.writer import VolumeWriter

_THREADS = 3  # two that read and hash, one that may wait for the disk


class OutputExists(GooseError):
    """The output folder already holds volumes of this bundle version."""

    code = "output-exists"
    default_hint = "remove them, raise the recipe's version, or choose another --out"


class OutputFailed(GooseError):
    """A volume cannot be written."""

    code = "output-failed"
    default_hint = "look at the folder given to --out: its space, its mode, its disk"


@dataclass(frozen=True, slots=True)
class Built:
    """What a build left behind."""

    statement: Statement
    volumes: tuple[Path, ...]
    volume_list: Path
    signatures: tuple[Path, ...]  # of the volume list
    bytes: int  # of all volumes


def build(plan: Plan, signers: Sequence[Signer], out: Path, progress: Progress) -> Built:
    """Writes the volumes of `plan` into the folder `out`, signed by each of `signers`.

    Raises `OutputExists`, `OutputFailed`, `SourceFault`; afterwards `out` holds nothing new.
    """
    stem = f"{plan.statement.name}-{plan.statement.version}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        _refuse_existing(out, stem)
        count = len(plan.statement.volumes)
        created = plan.statement.created
        mtime = int(parse_time(created).timestamp()) if created else 0
        with ThreadPoolExecutor(_THREADS) as pool, ExitStack() as stack:
            writers = [
                stack.enter_context(
                    VolumeWriter(
                        out / f"{stem}.{k}of{count}.goose.tar", plan.head_size(k), mtime, pool
                    )
                )
                for k in range(1, count + 1)
            ]
            statement, documents = _write_content(plan, writers, pool, progress)
            message = statement.encode()
            signatures = [sshsig.sign(message, signer, sshsig.BUNDLE) for signer in signers]
            for k, writer in enumerate(writers, 1):
                index = layout.encode_layout_index(
                    documents.root, statement.version, documents.artifacts, k, count
                )
                writer.write_head(_head(index, message, signatures, documents))
            progress.start("writing out", sum(writer.position for writer in writers))
            hashes = [writer.finish(progress) for writer in writers]
            progress.finish()
            listing = canonical.dumps(
                {
                    "format": FORMAT,
                    "name": statement.name,
                    "statement": digests.of(message),
                    "version": statement.version,
                    "volumes": [
                        {"digest": digest, "file": writer.path.name, "size": writer.position}
                        for writer, digest in zip(writers, hashes, strict=True)
                    ],
                }
            )
            lists = _signed_list(out / f"{stem}.volumes.json", listing, signers)
            for writer in writers:
                writer.publish()
            for path, data in lists:  # last: who sees the list sees all that it names
                durable.replace_file(path, data)
            for writer in writers:
                writer.keep()
            return Built(
                statement=statement,
                volumes=tuple(writer.path for writer in writers),
                volume_list=lists[0][0],
                signatures=tuple(path for path, _ in lists[1:]),
                bytes=sum(writer.position for writer in writers),
            )
    except OSError as error:
        raise _failed(out, error) from error


def _write_content(
    plan: Plan, writers: Sequence[VolumeWriter], pool: ThreadPoolExecutor, progress: Progress
) -> tuple[Statement, Documents]:
    """Writes every layer once; returns the statement and documents that name them."""
    progress.start("building", plan.statement.totals.bytes)
    seen = {layout.EMPTY_DIGEST}
    found: list[str] = []
    wholes: dict[int, str] = {}
    items = gather.read(plan.pieces, pool)
    for writer, count in zip(writers, plan.statement.volumes, strict=True):
        for piece in plan.pieces[len(found) : len(found) + count]:
            item, layer = next(items), piece.layer
            digest = writer.add(layer.size, item, seen)
            seen.add(digest)
            found.append(digest)
            if isinstance(item, Large) and layer.part == layer.parts > 1:
                for number in range(len(found) - layer.parts, len(found)):
                    wholes[number] = item.file_digest
            progress.advance(layer.size, layer.path)
    progress.finish()
    documents = plan.documents(found, wholes)
    for digest, _ in documents.entries[:-1]:
        if digest in seen:
            raise ContentConflict(
                f"the bundle's content holds its own document {digest}",
                hint="leave out the file that is a manifest of this very bundle",
            )
    return replace(plan.statement, root=documents.root.digest), documents


def _head(
    index: bytes, message: bytes, signatures: Sequence[bytes], documents: Documents
) -> list[tuple[str, bytes]]:
    """The entries of a volume before its layers, in order."""
    entries = [
        ("oci-layout", layout.OCI_LAYOUT),
        ("index.json", index),
        (STATEMENT_NAME, message),
    ]
    entries += [(signature_name(n), signature) for n, signature in enumerate(signatures, 1)]
    entries += [(blob_name(digest), data) for digest, data in documents.entries]
    return entries


def _signed_list(path: Path, listing: bytes, signers: Sequence[Signer]) -> list[tuple[Path, bytes]]:
    """The list of volumes and its signatures, as files."""
    files = [(path, listing)]
    for n, signer in enumerate(signers, 1):
        name = path.name + (".sig" if n == 1 else f".sig.{n}")
        files.append((path.with_name(name), sshsig.sign(listing, signer, sshsig.VOLUMES)))
    return files


def _refuse_existing(out: Path, stem: str) -> None:
    """Parts of another build would be taken for parts of this one."""
    for old in sorted(out.glob(f"{glob.escape(stem)}.*of*.goose.tar*")):
        raise OutputExists(f"{old} is already there", file=str(old))


def _failed(out: Path, error: OSError) -> OutputFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputFailed(f"{out}: no space left for the volumes", hint="free space, build again")
    return OutputFailed(f"{error.filename or out}: {error.strerror or error}")
