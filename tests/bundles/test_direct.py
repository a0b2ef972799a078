"""Runs of bytes past the page cache: each byte where it belongs, and no failure unheard."""

from __future__ import annotations

import itertools
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundles.files.direct import BLOCK, DirectFile


@pytest.fixture(params=["disk", "memory"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file on a disk, and on a file system that is the page cache itself."""
    if request.param == "disk":
        yield tmp_path / "file"
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder, "file")


@pytest.mark.parametrize("seed", range(4))
def test_runs_in_any_order_of_any_length(path: Path, seed: int) -> None:
    """They begin and end within pages, and share them with others."""
    drawn = random.Random(seed)
    data = os.urandom(3 * BLOCK + drawn.randrange(BLOCK))
    cuts = sorted(drawn.sample(range(1, len(data)), 12))
    cuts += [cuts[3] + 1, BLOCK, 2 * BLOCK - 1]
    bounds = sorted({0, len(data), *cuts})
    runs = list(itertools.pairwise(bounds))
    drawn.shuffle(runs)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    direct = DirectFile(path, descriptor)
    for start, end in runs:
        for at in range(start, end, 700_000):
            direct.write(memoryview(data)[at : min(at + 700_000, end)], at)
    assert b"".join(bytes(piece) for piece in direct.pieces()) == data
    direct.close()
    os.close(descriptor)
    assert path.read_bytes() == data


@pytest.mark.parametrize("size", [0, 1, 4096, BLOCK, BLOCK + 1])
def test_whole_file_is_read_to_its_end(path: Path, size: int) -> None:
    path.write_bytes(data := os.urandom(size))
    descriptor = os.open(path, os.O_RDWR)
    direct = DirectFile(path, descriptor)
    assert b"".join(bytes(piece) for piece in direct.pieces()) == data
    direct.close()
    os.close(descriptor)


def test_write_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    direct = DirectFile(tmp_path / "file", descriptor)
    direct.write(memoryview(bytes(100)), 0)
    with pytest.raises(OSError, match="Bad file descriptor"):
        direct.flush()
    direct.close()
    os.close(descriptor)
