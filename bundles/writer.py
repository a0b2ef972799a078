"""Writes one volume: room for its head first, then layers as they come, the head last."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from bundles import digest as digests
from bundles.gather import Large, Small
from bundles.layout import Layer
from bundles.progress import Progress
from bundles.store import durable
from bundles.volume import BLOCK, END, blob_name, header, padding

_BUFFER = 1024 * 1024  # bytes gathered before a write
_FLUSH = 256 * 1024 * 1024  # bytes written before the disk is set to work on them
_READ_BACK = 4 * 1024 * 1024


class PendingFile:
    """A file under a temporary name until `publish`; a context manager that removes it again
    unless `keep` was called. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0  # bytes written; at the end, the file's size
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._file = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        self._published = self._kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
        if not self._kept:
            (self.path if self._published else self._temporary).unlink(missing_ok=True)

    def publish(self) -> None:
        """Gives the file its name."""
        os.rename(self._temporary, self.path)
        self._published = True
        durable.sync_folder(self.path.parent)

    def keep(self) -> None:
        """The build succeeded: the file stays."""
        self._kept = True


class VolumeWriter(PendingFile):
    """An open volume, written in place."""

    def __init__(self, path: Path, head_size: int, mtime: int, pool: ThreadPoolExecutor) -> None:
        super().__init__(path)
        self._head_size, self._mtime, self._pool = head_size, mtime, pool
        self._buffer = bytearray()
        self.position = head_size  # where the buffer goes
        self._flushed = 0
        self._flush: Future[None] | None = None

    def __exit__(self, *_: object) -> None:
        if self._flush is not None:
            self._flush.exception()
        super().__exit__()

    def add(self, layer: Layer, item: Small | Large, seen: set[str], progress: Progress) -> str:
        """Writes one layer unless its digest is in `seen`; returns the digest."""
        size = layer.size
        if isinstance(item, Small):
            if item.digest not in seen:
                self._buffer += header(blob_name(item.digest), size, self._mtime)
                self._buffer += item.data
                self._buffer += bytes(padding(size))
                if len(self._buffer) >= _BUFFER:
                    self._drain()
            progress.advance(size, layer.path)
            return item.digest
        self._drain()
        at = self.position + BLOCK
        for chunk in item.chunks():
            self._write(chunk, at)
            at += len(chunk)
            progress.advance(len(chunk), layer.path)
        if item.digest not in seen:
            self._write(header(blob_name(item.digest), size, self._mtime), self.position)
            self._write(bytes(padding(size)), at)
            self.position = at + padding(size)
            self._start_flush()
        return item.digest

    def write_head(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """Fills in the head; its length is the one that was planned."""
        head = encode_head(entries, self._mtime)
        if len(head) != self._head_size:
            raise AssertionError(f"planned a head of {self._head_size} bytes, made {len(head)}")
        self._write(head, 0)

    def finish(self, progress: Progress) -> str:
        """Ends the volume and makes it durable; returns its digest, hashed meanwhile."""
        self._buffer += END
        self._drain()
        os.ftruncate(self._file, self.position)  # a last duplicate may stand behind the end
        flush = self._pool.submit(os.fsync, self._file)
        whole = hashlib.sha256()
        for chunk in self._read_back():
            whole.update(chunk)
            progress.advance(len(chunk))
        flush.result()
        return digests.PREFIX + whole.hexdigest()

    def _read_back(self) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(_READ_BACK))
        at = 0
        while count := os.preadv(self._file, [buffer], at):
            yield buffer[:count]
            at += count

    def _drain(self) -> None:
        self._write(self._buffer, self.position)
        self.position += len(self._buffer)
        self._buffer.clear()
        self._start_flush()

    def _start_flush(self) -> None:
        """Lets the disk work while content is read, instead of all at the end."""
        if self.position - self._flushed < _FLUSH:
            return
        if self._flush is not None:
            if not self._flush.done():
                return
            self._flush.result()
        self._flushed = self.position
        self._flush = self._pool.submit(os.fdatasync, self._file)

    def _write(self, data: bytes | bytearray | memoryview, at: int) -> None:
        with memoryview(data) as view:
            done = 0
            while done < len(view):
                done += os.pwrite(self._file, view[done:], at + done)


def encode_head(entries: Sequence[tuple[str, bytes]], mtime: int) -> bytes:
    """The entries of a head as they stand in the tar."""
    return b"".join(
        header(name, len(data), mtime) + data + bytes(padding(len(data))) for name, data in entries
    )
