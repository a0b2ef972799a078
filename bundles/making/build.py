"""From a plan to signed volumes in a folder: all of them, or nothing.

Volumes are assembled under temporary names. When every one is whole and durable they get their
names, and last comes the signed list that names them.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.files import durable
from bundles.files.pending import PendingFile
from bundles.format.statement import Statement
from bundles.making.assemble import Assembly
from bundles.making.deltabuild import DeltaAssembly, Saved
from bundles.making.plan import Plan
from bundles.progress import Progress
from bundles.reading import beside, volumelist
from bundles.reading.base import Base
from bundles.reading.volumelist import ListedVolume, VolumeList
from bundles.sealing.seal import Recipient, SealedFile
from bundles.signing import sshsig
from bundles.signing.keys import Signer

_THREADS = 2  # that read and hash


class OutputExists(GooseError):
    """The output folder already holds volumes of this bundle version."""

    code = "output-exists"
    default_hint = "remove them, raise the recipe's version, or choose another --out"


class OutputBusy(GooseError):
    """Another build writes to the output folder."""

    code = "output-busy"
    default_hint = "wait until it is done, or choose another --out"


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
    saved: Saved | None = None  # by a delta


class Assembled(Protocol):
    """Volumes that are ready to be written; after that all of this is final."""

    statement: Statement
    message: bytes  # the statement, encoded
    count: int  # of volumes

    def write(self, files: Sequence[PendingFile]) -> list[str]:
        """Writes them into `files` and makes them durable; returns their digests."""


def build(
    plan: Plan,
    signers: Sequence[Signer],
    out: Path,
    progress: Progress,
    recipients: Sequence[Recipient] = (),
    base: Base | None = None,
) -> Built:
    """Writes the volumes of `plan` into the folder `out`, signed by each of `signers`; sealed to
    `recipients` if there are any. With a `base` they hold only what it lacks.

    Raises `OutputBusy`, `OutputExists`, `OutputFailed`, `SealFailed` or `SourceFault`; afterwards
    `out` holds nothing new.
    """

    def assemble(pool: ThreadPoolExecutor) -> Assembled:
        if base is None:
            return Assembly(plan, signers, pool, progress)
        return DeltaAssembly(plan, base, signers, pool, progress)

    stem = volumelist.stem(plan.statement.name, plan.statement.version)
    return write(assemble, stem, signers, out, recipients)


def write(
    assemble: Callable[[ThreadPoolExecutor], Assembled],
    stem: str,
    signers: Sequence[Signer],
    out: Path,
    recipients: Sequence[Recipient] = (),
) -> Built:
    """Writes the volumes that `assemble` makes, ``STEM.KofN.goose.tar``, and their list into the
    folder `out`. Raises as `build` does."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_THREADS) as pool, ExitStack() as stack:
            stack.enter_context(_claimed(out))
            _refuse_existing(out, stem)
            assembly = assemble(pool)
            count = assembly.count
            paths = [
                out / volumelist.volume_file(stem, k, count, bool(recipients))
                for k in range(1, count + 1)
            ]
            files = [
                stack.enter_context(
                    SealedFile(path, recipients) if recipients else PendingFile(path)
                )
                for path in paths
            ]
            hashes = assembly.write(files)
            listing = VolumeList(
                name=assembly.statement.name,
                version=assembly.statement.version,
                statement=digests.of(assembly.message),
                volumes=tuple(
                    ListedVolume(file.path.name, file.size, digest)
                    for file, digest in zip(files, hashes, strict=True)
                ),
            )
            lists = _signed_list(out / f"{stem}{volumelist.SUFFIX}", listing.encode(), signers)
            for file in files:
                file.publish()
            with _taken_back([path for path, _ in lists]):
                for path, data in lists:  # last: who sees the list sees all that it names
                    durable.replace_file(path, data)
            for file in files:
                file.keep()
            return Built(
                statement=assembly.statement,
                volumes=tuple(paths),
                volume_list=lists[0][0],
                signatures=tuple(path for path, _ in lists[1:]),
                bytes=sum(file.size for file in files),
                saved=assembly.saved if isinstance(assembly, DeltaAssembly) else None,
            )
    except OSError as error:
        raise _failed(out, error) from error


def _signed_list(path: Path, listing: bytes, signers: Sequence[Signer]) -> list[tuple[Path, bytes]]:
    """The list of volumes and its signatures, as files."""
    files = [(path, listing)]
    for n, signer in enumerate(signers, 1):
        name = volumelist.signature_file(path.name, n)
        files.append((path.with_name(name), sshsig.sign(listing, signer, sshsig.VOLUMES)))
    return files


@contextmanager
def _taken_back(paths: Sequence[Path]) -> Iterator[None]:
    """Removes what is at `paths` when the block ends by an exception."""
    try:
        yield
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


@contextmanager
def _claimed(out: Path) -> Iterator[None]:
    """Holds the folder `out` against other builds. Raises `OutputBusy`."""
    descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise OutputBusy(f"another build is writing to {out}", file=str(out)) from error
    finally:
        os.close(descriptor)


def _refuse_existing(out: Path, stem: str) -> None:
    """Parts of another build would be taken for parts of this one. What a killed build left
    behind under a temporary name goes."""
    for partial in out.glob(f".{glob.escape(stem)}.*of*.partial"):
        partial.unlink()
    name = glob.escape(stem)
    patterns = (f"{name}.*of*.goose.tar*", f"{name}.volumes.json*", f"{name}.statement.json*")
    for old in sorted({file for pattern in patterns for file in out.glob(pattern)}):
        if ".goose.tar" in old.name and beside.stem(old) != stem:
            continue  # a repair bundle of the same version
        raise OutputExists(f"{old} is already there", file=str(old))


def _failed(out: Path, error: OSError) -> OutputFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputFailed(f"{out}: no space left for the volumes", hint="free space, build again")
    return OutputFailed(f"{error.filename or out}: {error.strerror or error}")
