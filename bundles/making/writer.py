"""Writes volumes from front to back: a head, layers, the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bundles.files.pending import PendingFile
from bundles.format.volume import END, blob_name, header, padding
from bundles.making.gather import Large
from bundles.making.plan import Piece
from bundles.progress import Progress

_BUFFER = 1024 * 1024  # bytes gathered before a write

Stream = Iterable[bytes | bytearray | memoryview]


def write(files: Sequence[PendingFile], streams: Iterable[Stream], progress: Progress) -> list[str]:
    """Writes into each of `files` what its stream gives, each piece valid until the next, and makes
    them durable; returns their digests."""
    hashes = []
    for number, (file, stream) in enumerate(zip(files, streams, strict=True), 1):
        progress.volume(file.path.name, number, len(files))
        for data in stream:
            file.write(data)
        file.write(END)
        hashes.append(file.end())
    for file in files:
        file.sync()
    return hashes


def layers(
    content: Iterable[tuple[Piece, str, bytes | Large]], mtime: int, progress: Progress
) -> Iterator[bytearray | memoryview]:
    """The entries of layers, each with its digest and its bytes, as they stand in the tar."""
    buffer = bytearray()
    for piece, digest, item in content:
        size, path = piece.layer.size, piece.layer.path
        buffer += header(blob_name(digest), size, mtime)
        if isinstance(item, Large):
            yield buffer
            for chunk in item.chunks():
                yield chunk
                progress.advance(len(chunk), path)
            buffer.clear()
        else:
            buffer += item
            progress.advance(size, path)
        buffer += bytes(padding(size))
        if len(buffer) >= _BUFFER:
            yield buffer
            buffer.clear()
    yield buffer


def encode_head(entries: Sequence[tuple[str, bytes]], mtime: int) -> bytes:
    """The entries of a head as they stand in the tar."""
    return b"".join(
        header(name, len(data), mtime) + data + bytes(padding(len(data))) for name, data in entries
    )
