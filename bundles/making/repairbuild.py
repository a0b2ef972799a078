"""A repair bundle: of one bundle version just the blobs that a site asks for.

It is a delta of the version against itself, with the same root, so that its import makes whole
what another import or a disk left incomplete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import layout
from bundles.format.layout import Descriptor
from bundles.format.repair_request import RepairRequest
from bundles.format.volume import CHUNK
from bundles.making.build import Built, write
from bundles.making.fill import Filled
from bundles.making.packvolumes import Content, PackVolumes
from bundles.making.plan import Documents
from bundles.making.repair import Answer, Source
from bundles.progress import Progress
from bundles.reading.base import BaseBundle
from bundles.reading.delta import Pack
from bundles.sealing.seal import Recipient
from bundles.signing.keys import Signer

_SHARED = 4 * 1024 * 1024  # bytes of a pack of several layers


class SourceChanged(GooseError):
    """A volume changed between the two times that a repair read it."""

    code = "source-changed"
    default_hint = "run it again when nothing writes to the volumes"


def build(
    request: RepairRequest,
    answer: Answer,
    signers: Sequence[Signer],
    out: Path,
    progress: Progress,
    recipients: Sequence[Recipient] = (),
    volume_size: int | None = None,
) -> Built:
    """Writes ``NAME-VERSION.repair-ID.KofN.goose.tar`` and its list into the folder `out`; ID tells
    requests apart. Raises what `build.build` raises, or `SourceChanged`."""
    said = answer.head.statement
    stem = f"{said.name}-{said.version}.repair-{digests.hex_of(digests.of(request.encode()))[:8]}"
    content = _content(answer, min(_SHARED, (volume_size or _SHARED * 4) // 4))
    return write(
        lambda pool: PackVolumes(content, signers, volume_size, progress),
        stem,
        signers,
        out,
        recipients,
    )


def _content(answer: Answer, shared: int) -> Content:
    """`shared` is how many bytes a pack of several layers has at most."""
    head, said = answer.head, answer.head.statement
    documents = tuple(head.documents.items())  # in head order, the empty config last
    root = Descriptor(layout.INDEX_TYPE, layout.BUNDLE_TYPE, said.root, said.root_size)
    artifacts = layout.read_index(head.documents[said.root], said.root)[2]
    known = b"".join(data for _, data in documents[:-1])
    return Content(
        statement=said,
        documents=Documents(root, tuple(artifacts), documents),
        bundles=(BaseBundle(said.name, said.version, said.root),),
        base_documents=None if answer.documents else known,
        blobs=(),
        packs=tuple(_packs(answer.sources, shared)),
    )


def _packs(sources: Sequence[Source], most: int) -> Iterator[tuple[Pack, partial[Iterator[bytes]]]]:
    """Large layers are packs of their own, small ones share."""
    shared = list[Source]()
    for source in sources:
        size = source.content.layer.size
        if size > most:
            yield _pack([source])
            continue
        if sum(each.content.layer.size for each in shared) + size > most:
            yield _pack(shared)
            shared = []
        shared.append(source)
    if shared:
        yield _pack(shared)


def _pack(sources: Sequence[Source]) -> tuple[Pack, partial[Iterator[bytes]]]:
    if len(sources) == 1:
        digest = sources[0].content.digest
    else:
        hashed = hashlib.sha256()
        for data in _bytes(sources):
            hashed.update(data)
        digest = digests.PREFIX + hashed.hexdigest()
    size = sum(source.content.layer.size for source in sources)
    numbers = [source.number for source in sources]
    return Filled(numbers, size, digest=digest).pack(), partial(_again, sources, digest)


def _again(sources: Sequence[Source], digest: str) -> Iterator[bytes]:
    """The bytes of a pack, read for the volume."""
    hashed = hashlib.sha256()
    for data in _bytes(sources):
        hashed.update(data)
        yield data
    if digests.PREFIX + hashed.hexdigest() != digest:
        raise SourceChanged(f"{sources[0].content.name} changed while it was read")


def _bytes(sources: Sequence[Source]) -> Iterator[bytes]:
    for source in sources:
        with source.open() as file:
            while chunk := file.read(CHUNK):
                yield chunk
