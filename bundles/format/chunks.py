"""Cutting content at places that the content itself chooses, so that an insertion moves no cut
but the nearest.

Source: FastCDC (Xia et al., USENIX ATC 2016) as the library `fastcdc` 1.7 has it. Receipts name
chunks by digest and builders look for them, so the cuts are part of the format: `SIZES` and the
library's gear table never change within format 1 (docs/bundle-format.md, "Chunks").
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

MINIMUM, AVERAGE, MAXIMUM = 8 * 1024, 32 * 1024, 128 * 1024  # bytes
WORTHWHILE = 256 * 1024  # bytes; shorter blobs are not cut: they are sent whole
_WINDOW = 4 * 1024 * 1024


class Stream(Protocol):
    """What is cut."""

    def read(self, count: int, /) -> bytes:
        """At most `count` bytes; none only at the end."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a stream."""

    digest: bytes  # SHA-256, 32 bytes
    offset: int  # bytes into the stream
    size: int  # bytes


def cut(stream: Stream) -> Iterator[Chunk]:
    """The chunks of `stream`, in order; together they are all of it.

    At most 4 MiB are in memory. Raises what `stream.read` raises.
    """
    from fastcdc import fastcdc

    held, start, more = b"", 0, True  # not yet cut, its offset, whether there is more
    while more:
        data = stream.read(_WINDOW - len(held))
        more = bool(data)
        held += data
        view = memoryview(held)
        done = 0
        for found in fastcdc(view, MINIMUM, AVERAGE, MAXIMUM):
            end = found.offset + found.length
            if end == len(held) and more:
                break  # where the window ends is no cut: the stream goes on
            digest = hashlib.sha256(view[found.offset : end]).digest()
            yield Chunk(digest, start + found.offset, found.length)
            done = end
        held, start = held[done:], start + done
