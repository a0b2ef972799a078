"""Cuts depend on content alone, wherever the reader's buffers end."""

from __future__ import annotations

import hashlib
import io

from hypothesis import given, settings
from hypothesis import strategies as st

from bundles.format import chunks
from tests.bundles.content import noise


class Trickle(io.BytesIO):
    """A stream that gives less than was asked for."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, count: int | None = -1, /) -> bytes:
        return super().read(min(count or 0, self._most))


def digests_of(data: bytes) -> list[bytes]:
    """The digests of the chunks of `data`."""
    return [chunk.digest for chunk in chunks.cut(io.BytesIO(data))]


@settings(max_examples=20)
@given(st.integers(0, 6 << 20), st.sampled_from([1 << 16, 1 << 20, 3_000_001]))
def test_chunks_are_the_whole_stream_however_it_is_read(size: int, most: int) -> None:
    data = noise("stream", size)
    found = list(chunks.cut(Trickle(data, most)))
    assert found == list(chunks.cut(io.BytesIO(data)))
    at = 0
    for chunk in found:
        assert chunk.offset == at
        assert chunk.digest == hashlib.sha256(data[at : at + chunk.size]).digest()
        at += chunk.size
    assert at == size


def test_chunk_sizes_are_those_of_the_format() -> None:
    sizes = [chunk.size for chunk in chunks.cut(io.BytesIO(noise("sizes", 32 << 20)))]
    assert min(sizes[:-1]) >= chunks.MINIMUM and max(sizes) <= chunks.MAXIMUM
    assert 0.9 < sum(sizes) / len(sizes) / chunks.AVERAGE < 1.1
    zeros = list(chunks.cut(io.BytesIO(bytes(1 << 20))))
    assert [chunk.size for chunk in zeros] == [chunks.MAXIMUM] * 8


def test_cuts_are_the_same_in_every_release() -> None:
    """Receipts written by one release are read by another: the library must not cut anew."""
    joined = b"".join(digests_of(noise("pinned", 2 << 20)))
    assert (
        hashlib.sha256(joined).hexdigest()
        == "c83c1cb792dfa1f29a6cfd889f3b13b24f684c7bed160e67ee5890ce34bbf680"
    )


def test_an_insertion_changes_few_chunks() -> None:
    data = noise("insert", 8 << 20)
    old, new = digests_of(data), digests_of(b"x" + data)
    assert len(set(new) - set(old)) <= 2
    middle = digests_of(data[: 4 << 20] + b"x" + data[4 << 20 :])
    assert len(set(middle) - set(old)) <= 3
