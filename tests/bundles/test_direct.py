"""Bytes past the page cache: each where it belongs, the digest theirs, and no failure unheard."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundles import digest as digests
from bundles.files import direct
from bundles.files.direct import BLOCK, DirectFile


@pytest.fixture(params=["disk", "memory"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file on a disk, and on a file system that is the page cache itself."""
    if request.param == "disk":
        yield tmp_path / "file"
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder, "file")


def written(path: Path, steps: Iterator[bytes]) -> tuple[str, int]:
    """The digest of a file written so, and how many bytes the disk was told of."""
    told = list[int]()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    file = DirectFile(path, descriptor, told.append)
    try:
        for step in steps:
            buffer = bytearray(step)
            file.write(buffer)
            buffer[:] = bytes(len(buffer))  # it may be used again at once
        return file.end(), sum(told)
    finally:
        file.close()
        os.close(descriptor)


@pytest.mark.parametrize("seed", range(4))
def test_steps_of_any_length(path: Path, seed: int) -> None:
    drawn = random.Random(seed)
    data = os.urandom(5 * BLOCK + drawn.randrange(BLOCK))
    lengths = [1, 511, 4096, 700_000, BLOCK - 1, BLOCK, 2 * BLOCK + 3]

    def steps() -> Iterator[bytes]:
        at = 0
        while at < len(data):
            step = data[at : at + drawn.choice(lengths)]
            at += len(step)
            yield step

    assert written(path, steps()) == (digests.of(data), len(data))
    assert path.read_bytes() == data


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, BLOCK, BLOCK + 1])
def test_end_within_a_page_or_at_its_end(path: Path, size: int) -> None:
    data = os.urandom(size)
    assert written(path, iter([data])) == (digests.of(data), size)
    assert path.read_bytes() == data


def test_disk_that_wants_other_places_than_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says EINVAL to every write past the cache: here because each begins within a page."""
    original = os.pwrite
    refused = list[int]()

    def shifted(descriptor: int, data: memoryview, at: int) -> int:
        if os.readlink(f"/proc/self/fd/{descriptor}") and _is_direct(descriptor):
            refused.append(at)
            return original(descriptor, data, at + 1)
        return original(descriptor, data, at)

    monkeypatch.setattr(direct.os, "pwrite", shifted)
    data = os.urandom(2 * BLOCK + 100)
    assert written(tmp_path / "file", iter([data])) == (digests.of(data), len(data))
    assert (tmp_path / "file").read_bytes() == data
    assert refused


def _is_direct(descriptor: int) -> bool:
    import fcntl

    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)


@pytest.mark.parametrize("size", [100, BLOCK, 9 * BLOCK], ids=["tail", "block", "blocks"])
def test_write_that_fails_is_told(tmp_path: Path, size: int, path: Path) -> None:
    """A file that was opened to be read only, past the cache too."""
    path.write_bytes(b"")
    descriptor = os.open(path, os.O_RDONLY)
    file = DirectFile(path, descriptor, lambda _: None)
    os.dup2(descriptor, file._direct)
    with pytest.raises(OSError, match="Bad file descriptor"):  # noqa: PT012 - it may tell earlier
        for _ in range(size // 100):
            file.write(bytes(100))
        file.end()
    file.close()
    os.close(descriptor)
