"""Writes one volume: room for its head first, then layers as they come, the head last."""

from __future__ import annotations

from collections.abc import Sequence

from bundles.files.pending import PendingFile
from bundles.format.layout import Layer
from bundles.format.volume import BLOCK, END, blob_name, header, padding
from bundles.making.gather import Large, Small
from bundles.progress import Progress

_BUFFER = 1024 * 1024  # bytes gathered before a write


class VolumeWriter:
    """A volume, written in place into `file`."""

    def __init__(self, file: PendingFile, head_size: int, mtime: int) -> None:
        self.file = file
        self._head_size, self._mtime = head_size, mtime
        self._buffer = bytearray()
        self._position = head_size  # where the buffer goes

    def add(self, layer: Layer, item: Small | Large, seen: set[str], progress: Progress) -> str:
        """Writes one layer unless its digest is in `seen`; returns the digest.

        A `Large` that may be in `seen` must be settled: what is written is not taken back.
        """
        if isinstance(item, Small):
            if item.digest not in seen:
                self._buffer += header(blob_name(item.digest), layer.size, self._mtime)
                self._buffer += item.data
                self._buffer += bytes(padding(layer.size))
                if len(self._buffer) >= _BUFFER:
                    self._drain()
        elif item.settled and item.digest in seen:
            pass
        else:
            self._add_large(layer, item, seen, progress)
            return item.digest
        progress.advance(layer.size, layer.path)
        return item.digest

    def write_head(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """Fills in the head; its length is the one that was planned."""
        head = encode_head(entries, self._mtime)
        if len(head) != self._head_size:
            raise AssertionError(f"planned a head of {self._head_size} bytes, made {len(head)}")
        self.file.write(head, 0)

    def end(self) -> None:
        """Ends the volume, after its head was written."""
        self.file.write_end(bytes(self._buffer) + END, self._position)
        self._buffer.clear()

    def _add_large(self, layer: Layer, item: Large, seen: set[str], progress: Progress) -> None:
        self._drain()
        at = self._position + BLOCK
        for chunk in item.chunks():
            self.file.write(chunk, at)
            at += len(chunk)
            progress.advance(len(chunk), layer.path)
        if item.digest in seen:
            raise AssertionError(f"{layer.path} was not known to be in the bundle already")
        self.file.write(header(blob_name(item.digest), layer.size, self._mtime), self._position)
        self.file.write(bytes(padding(layer.size)), at)
        self._position = at + padding(layer.size)

    def _drain(self) -> None:
        self.file.write(self._buffer, self._position)
        self._position += len(self._buffer)
        self._buffer.clear()


def encode_head(entries: Sequence[tuple[str, bytes]], mtime: int) -> bytes:
    """The entries of a head as they stand in the tar."""
    return b"".join(
        header(name, len(data), mtime) + data + bytes(padding(len(data))) for name, data in entries
    )
