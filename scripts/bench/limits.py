"""What disk, hash and cipher would take at best for what was compared, measured in the same run."""

from __future__ import annotations

import hashlib
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from measure import Side

_PIECE = 4 << 20
_CHUNK = 64 << 10
_WRITTEN = 1 << 30  # bytes: enough that a disk's own memory does not hide it
_COUNTED = 256 << 20
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes a second."""

    disk: float  # one new file, written front to back and synced
    hash: float  # SHA-256, one core
    cipher: float  # ChaCha20-Poly1305 in chunks of 64 KiB, one core

    def row(self, title: str, ours: Side, written: int, hashed: int, sealed: int) -> str:
        """One line of the table: a command that must write, hash and seal so many bytes."""
        disk, hashing = written / self.disk, hashed / self.hash
        cipher, cores = sealed / self.cipher, os.cpu_count() or 1
        floor = max(disk, (hashing + cipher) / cores)
        seconds = statistics.median(run.seconds for run in ours.runs)
        return (
            f"| {title} | {disk:.2f} | {hashing:.2f} | {cipher:.2f} | {seconds:.2f}"
            f" | {seconds / floor:.2f} |"
        )


HEADER = """
What it would take at best: the disk alone, and hash and cipher on one core, in seconds; and how
many times the larger of the disk's time and that of hash and cipher on all cores ours took.

| what | disk | SHA-256 | cipher | ours | ours / limit |
|---|---|---|---|---|---|"""


def probe(folder: Path) -> Limits:
    """Medians of three, now."""
    data = memoryview(os.urandom(_PIECE))
    path = folder / "probe"
    cipher = ChaCha20Poly1305(bytes(32))
    out = bytearray(_CHUNK + 16)

    def write() -> None:
        with open(path, "wb", buffering=0) as file:
            file.writelines(data for _ in range(_WRITTEN // _PIECE))
            os.fsync(file.fileno())

    def count() -> None:
        for _ in range(_COUNTED // _PIECE):
            hashlib.sha256(data)

    def seal() -> None:
        for number in range(_COUNTED // _CHUNK):
            at = number * _CHUNK % _PIECE
            cipher.encrypt_into(number.to_bytes(12), data[at : at + _CHUNK], None, out)

    try:
        return Limits(_rate(write, _WRITTEN), _rate(count, _COUNTED), _rate(seal, _COUNTED))
    finally:
        path.unlink(missing_ok=True)


def _rate(work: Callable[[], None], size: int) -> float:
    seconds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return size / statistics.median(seconds)
