"""What deltas take: bytes on the media against bytes changed, and the time of build and import.

    python scripts/bench/deltas.py FOLDER

FOLDER needs about 8 GB. Every figure comes from the command line, as a person would use it; the
complete build and import of the same version stand beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

GIB = 1 << 30


def noise(seed: str, size: int) -> bytes:
    """The same random bytes for a seed."""
    return hashlib.shake_128(seed.encode()).digest(size)


def image(path: Path, *edits: tuple[int, int, bytes]) -> None:
    """1 GiB of random bytes in 64 MiB pieces, with bytes from and to replaced."""
    data = bytearray()
    for n in range(16):
        data += noise(f"image {n}", GIB // 16)
    for start, end, new in sorted(edits, reverse=True):
        data[start:end] = new
    path.write_bytes(data)


def tree(folder: Path, size: int, version: int) -> int:
    """10,000 files of `size` bytes, 1 % of them other ones in version 2; returns their bytes."""
    for n in range(10_000):
        fresh = version == 2 and n % 100 == 37
        file = folder / f"dir{n % 100:02}" / f"file-{n:05}.bin"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(noise(f"{n} {fresh}", size))
    return 100 * size


def run(home: Path, *args: object) -> tuple[dict[str, object], float]:
    """What a command says, and how long it took in seconds."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "goosectl", "--json", *map(str, args)],
        env={**os.environ, "GOOSE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - start


def measure(folder: Path, name: str, make: Callable[[Path, int], int]) -> None:
    """Builds and imports both versions, the second one whole and as a delta."""
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    run(work, "key", "new", "release", "--out", work)
    changed = 0
    for version in (1, 2):
        shutil.rmtree(work / "content", ignore_errors=True)
        (work / "content").mkdir()
        changed = make(work / "content", version)
        recipe = work / "bundle.yaml"
        recipe.write_text(
            "apiVersion: goose/v1\nkind: Bundle\nname: site-base\n"
            f"version: {version}.0.0\naudience: any\n"
            "contents:\n  - tree: ./content\n    as: content\n"
        )
        sign = ("--key", work / "release")
        _, whole = run(work, "bundle", "build", recipe, *sign, "--out", work / f"whole-{version}")
    since = ("--since", work / "whole-1")
    made, delta = run(work, "bundle", "build", recipe, *sign, "--out", work / "delta", *since)
    shutil.rmtree(work / "content")
    times = {}
    for kind in ("whole-2", "delta"):
        home = work / f"site-{kind}"
        trust = ("--signer", work / "release.pub", "--yes")
        run(home, "trust", "init", *trust)
        run(home, "bundle", "import", work / "whole-1")
        _, times[kind] = run(home, "bundle", "import", work / kind)
        shutil.rmtree(home)
    media = made["bytes"]
    assert isinstance(media, int)
    print(
        f"| {name} | {changed} | {media} | {media / changed:.3f} |"
        f" {delta:.1f} s ({whole:.1f} s) | {times['delta']:.1f} s ({times['whole-2']:.1f} s) |",
        flush=True,
    )
    shutil.rmtree(work)


def inserted(folder: Path, version: int) -> int:
    """One byte more in front of 1 GiB."""
    image(folder / "disk.img", *([(0, 0, b"x")] if version == 2 else []))
    return 1


def runs(folder: Path, version: int) -> int:
    """1 % of 1 GiB in ten runs."""
    size = GIB // 1000
    edits = [(n * 100_000_000, n * 100_000_000 + size, noise(f"run {n}", size)) for n in range(10)]
    image(folder / "disk.img", *(edits if version == 2 else []))
    return 10 * size


def main() -> None:
    """Prints one row of a table for each kind of change."""
    folder = Path(sys.argv[1])
    print("| change | bytes changed | bytes on the media | ratio | build | import |")
    print("|---|---|---|---|---|---|")
    measure(folder, "one byte in front of 1 GiB", inserted)
    measure(folder, "1 % of 1 GiB in ten runs", runs)
    measure(folder, "1 % of 10,000 files of 100 kB", lambda f, v: tree(f, 100_000, v))
    measure(folder, "1 % of 10,000 files of 2 kB", lambda f, v: tree(f, 2_000, v))


if __name__ == "__main__":
    main()
