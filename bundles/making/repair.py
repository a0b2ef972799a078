"""Answering a repair request: where the blobs are that a site asks for.

They come from the builder's own volumes, and each is hashed before anything is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format.content import Content
from bundles.format.layout import EMPTY_DIGEST
from bundles.format.repair_request import RepairRequest
from bundles.format.volume import CHUNK
from bundles.making.spool import Spool
from bundles.making.volumebase import BaseVolumes, BlobFile
from bundles.progress import Progress
from bundles.reading.head import shares
from bundles.reading.media import find_volumes
from bundles.reading.scan import DamagedBlob, Fault
from bundles.reading.unpack import VolumeContent
from bundles.reading.verify import Authority, TrustedHead
from bundles.sealing.agefile import Unwrapper
from bundles.signing.policy import Policy
from bundles.site.ingest import open_volumes


class RequestMismatch(GooseError):
    """A repair request is for another bundle version than the volumes hold."""

    code = "request-mismatch"
    default_hint = "give the volumes of the version that the request names, as they were built"


class ForeignBlob(GooseError):
    """A repair request asks for a blob that its bundle does not have."""

    code = "foreign-blob"
    default_hint = "do not answer it: no site that holds this bundle asks for that"


class NotInVolumes(GooseError):
    """What a repair request asks for is not in the volumes that were given."""

    code = "not-in-volumes"
    default_hint = "give all volumes of the bundle, and of what it builds on where it is a delta"


@dataclass(frozen=True, slots=True)
class Blobs:
    """What was found, by digest."""

    has: Callable[[str], bool]
    open: Callable[[str], BlobFile]


@dataclass(frozen=True, slots=True)
class Source:
    """A layer that is asked for."""

    number: int  # of the layer, from 0
    content: Content
    open: Callable[[], BlobFile]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with; valid until the stack given to `find` closes."""

    head: TrustedHead  # of one of the volumes
    sources: tuple[Source, ...]  # in the order of layer numbers, each hashed
    documents: bool  # whether the site lacks some of them


def find(
    request: RepairRequest,
    paths: Sequence[Path],
    authority: Authority,
    policy: Policy,
    progress: Progress,
    stack: ExitStack,
    identities: Sequence[Unwrapper] = (),
) -> Answer:
    """What `request` asks for, out of the volumes at `paths`.

    Of open volumes only the heads and what is asked for are read; with `identities` volumes may be
    sealed, and are read whole. `authority` says whose volumes are taken: what they hold will be
    signed again. Raises what `open_volumes` raises, `MissingBase`, `RequestMismatch`,
    `ForeignBlob`, `NotInVolumes`, `SpoolFull` or `DamagedBlob`.
    """
    if identities:
        head, blobs = _sealed(request, paths, authority, policy, progress, stack, identities)
    else:
        head, blobs = _open(request, paths, authority, policy)
    sources = tuple(_sources(request, head, blobs))
    progress.start("checking", sum(source.content.layer.size for source in sources))
    for source in sources:
        _check(source, progress)
    progress.finish()
    return Answer(head, sources, bool(request.documents))


def _open(
    request: RepairRequest, paths: Sequence[Path], authority: Authority, policy: Policy
) -> tuple[TrustedHead, Blobs]:
    volumes = BaseVolumes(paths, authority, policy)
    for path in find_volumes(paths):
        with ExitStack() as stack:
            (volume,) = open_volumes([path], authority, policy, stack, base=volumes.documents)
        if volume.head.statement.root == request.root:
            _refuse_wrong(request, volume.head)
            return volume.head, Blobs(volumes.has, volumes.open)
    held = ", ".join(f"{b.name} {b.version} ({b.root})" for b in volumes.bundles.values())
    raise _mismatch(request, held)


def _sealed(
    request: RepairRequest,
    paths: Sequence[Path],
    authority: Authority,
    policy: Policy,
    progress: Progress,
    stack: ExitStack,
    identities: Sequence[Unwrapper],
) -> tuple[TrustedHead, Blobs]:
    asked = {wanted.digest for wanted in request.layers}
    spool = stack.enter_context(Spool(asked))
    with ExitStack() as reading:
        volumes = open_volumes(paths, authority, policy, reading, identities)
        head = volumes[0].head
        _refuse_wrong(request, head)
        brought = shares(head)
        given = [(volume, brought[volume.head.volume - 1]) for volume in volumes]
        needed = [(v, share) for v, share in given if asked & {c.digest for c in share}]
        progress.start("reading", sum(c.layer.size for _, share in needed for c in share))
        for volume, share in needed:
            VolumeContent(volume.reader, volume.head, spool, progress, _stop, None).read(share)
        progress.finish()
    return head, Blobs(spool.holds, spool.open)


def _stop(fault: Fault) -> None:
    raise fault


def _mismatch(request: RepairRequest, held: str) -> RequestMismatch:
    return RequestMismatch(
        f"the request is for {request.name} {request.version} ({request.root});"
        f" the volumes hold {held}"
    )


def _refuse_wrong(request: RepairRequest, head: TrustedHead) -> None:
    said = head.statement
    if (request.name, request.version, request.root) != (said.name, said.version, said.root):
        raise _mismatch(request, f"{said.name} {said.version} ({said.root})")
    sizes = {content.digest: content.layer.size for content in head.contents}
    documents = {digest: len(data) for digest, data in head.documents.items()}
    for what, known, asked in (
        ("document", documents, request.documents),
        ("layer", sizes, request.layers),
    ):
        for wanted in asked:
            if known.get(wanted.digest) != wanted.size:
                raise ForeignBlob(
                    f"the request asks for {wanted.digest}; {said.name} {said.version} has no"
                    f" {what} of that digest and {wanted.size} bytes",
                    digest=wanted.digest,
                )


def _sources(request: RepairRequest, head: TrustedHead, blobs: Blobs) -> list[Source]:
    # Each head brings the empty config, whoever else has its bytes.
    asked = {wanted.digest for wanted in request.layers} - {EMPTY_DIGEST}
    found, lacking = list[Source](), list[str]()
    for number, content in enumerate(head.contents):
        if content.digest not in asked:
            continue
        asked.remove(content.digest)
        if blobs.has(content.digest):
            found.append(Source(number, content, partial(blobs.open, content.digest)))
        else:
            lacking.append(content.name)
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise NotInVolumes(f"{lacking[0]}{more} is not in the volumes given", paths=lacking)
    return found


def _check(source: Source, progress: Progress) -> None:
    """Hashes a layer. Raises `DamagedBlob`."""
    hashed = hashlib.sha256()
    with source.open() as file:
        while chunk := file.read(CHUNK):
            hashed.update(chunk)
            progress.advance(len(chunk), source.content.name)
    if digests.PREFIX + hashed.hexdigest() != source.content.digest:
        raise DamagedBlob(
            f"the builder's own volume is damaged: {source.content.name} does not hash to"
            f" {source.content.digest}",
            hint="give a good copy of it, or build the version once more: it has the same root",
            entry=source.content.name,
            path=source.content.path,
            digest=source.content.digest,
        )
