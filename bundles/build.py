"""From a plan to signed volumes in a folder: all of them, or nothing.

Volumes are assembled under temporary names. When every one is whole and durable they get their
names, and last comes the signed list that names them.
"""

from __future__ import annotations

import errno
import glob
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bundles import canonical, sshsig, writer
from bundles import digest as digests
from bundles.assemble import Assembly
from bundles.errors import GooseError
from bundles.keys import Signer
from bundles.plan import Plan
from bundles.progress import Progress
from bundles.seal import SUFFIX, Recipient, SealedWriter
from bundles.statement import FORMAT, Statement
from bundles.store import durable
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


def build(
    plan: Plan,
    signers: Sequence[Signer],
    out: Path,
    progress: Progress,
    recipients: Sequence[Recipient] = (),
) -> Built:
    """Writes the volumes of `plan` into the folder `out`, signed by each of `signers`; sealed to
    `recipients` if there are any.

    Raises `OutputExists`, `OutputFailed`, `SealFailed` or `SourceFault`; afterwards `out` holds
    nothing new.
    """
    stem = f"{plan.statement.name}-{plan.statement.version}"
    count = len(plan.statement.volumes)
    suffix = SUFFIX if recipients else ""
    paths = [out / f"{stem}.{k}of{count}.goose.tar{suffix}" for k in range(1, count + 1)]
    try:
        out.mkdir(parents=True, exist_ok=True)
        _refuse_existing(out, stem)
        with ThreadPoolExecutor(_THREADS) as pool, ExitStack() as stack:
            assembly = Assembly(plan, signers, pool, progress)
            files: Sequence[VolumeWriter | SealedWriter]
            if recipients:
                files, hashes = assembly.sealed(paths, recipients, stack)
            else:
                files, hashes = assembly.open(paths, stack)
            listing = canonical.dumps(
                {
                    "format": FORMAT,
                    "name": plan.statement.name,
                    "statement": digests.of(assembly.message),
                    "version": plan.statement.version,
                    "volumes": [
                        {"digest": digest, "file": file.path.name, "size": file.position}
                        for file, digest in zip(files, hashes, strict=True)
                    ],
                }
            )
            lists = _signed_list(out / f"{stem}.volumes.json", listing, signers)
            for file in files:
                file.publish()
            for path, data in lists:  # last: who sees the list sees all that it names
                durable.replace_file(path, data)
            for file in files:
                file.keep()
            return Built(
                statement=assembly.statement,
                volumes=tuple(paths),
                volume_list=lists[0][0],
                signatures=tuple(path for path, _ in lists[1:]),
                bytes=sum(file.position for file in files),
            )
    except OSError as error:
        raise _failed(out, error) from error


def _signed_list(path: Path, listing: bytes, signers: Sequence[Signer]) -> list[tuple[Path, bytes]]:
    """The list of volumes and its signatures, as files."""
    files = [(path, listing)]
    for n, signer in enumerate(signers, 1):
        name = path.name + (".sig" if n == 1 else f".sig.{n}")
        files.append((path.with_name(name), sshsig.sign(listing, signer, sshsig.VOLUMES)))
    return files


def _refuse_existing(out: Path, stem: str) -> None:
    """Parts of another build would be taken for parts of this one. What a killed build left
    behind under a temporary name goes."""
    for partial in out.glob(f".{glob.escape(stem)}.*of*.partial"):
        writer.remove_abandoned(partial)
    for old in sorted(out.glob(f"{glob.escape(stem)}.*of*.goose.tar*")):
        raise OutputExists(f"{old} is already there", file=str(old))


def _failed(out: Path, error: OSError) -> OutputFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputFailed(f"{out}: no space left for the volumes", hint="free space, build again")
    return OutputFailed(f"{error.filename or out}: {error.strerror or error}")
