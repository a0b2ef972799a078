"""Checking sealed volumes where they cannot be opened: at a transfer station, against the list.

What is checked: that the files are, to the byte, those which the signers of the list named. What is
not: anything inside, the signatures of the statement among it. Who opens them checks that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bundles.errors import GooseError
from bundles.files.hashing import HashedFile
from bundles.progress import Progress
from bundles.reading import media
from bundles.reading.delivery import Candidate
from bundles.reading.tally import Tally
from bundles.reading.volumelist import VolumeList

_PIECE = 4 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Passed:
    """What a check against the list found."""

    listed: VolumeList
    volumes: tuple[int, ...]  # numbers of those that are here, whole
    faults: tuple[GooseError, ...]
    bytes_read: int


def check(
    candidates: Sequence[Candidate], tally: Tally, listed: VolumeList, progress: Progress
) -> Passed:
    """L5: reads each of the volumes that `tally` knows once, and compares it with the list.

    A renamed volume is found by its digest.
    """
    faults = list(tally.faults)
    here: set[int] = set()
    read = 0
    wanted = [candidate for candidate in candidates if candidate.path in tally.expected]
    progress.start("verifying", sum(candidate.size for candidate in wanted))
    for candidate in wanted:
        expected = tally.expected[candidate.path]
        likely = listed.volumes.index(expected) + 1
        progress.volume(candidate.path.name, likely, len(listed.volumes))
        digest = _digest(candidate.path, progress)
        read += candidate.size
        number = _number_of(listed, digest)
        if number is not None:
            here.add(number)
        else:
            faults += tally.compare(candidate.path, digest)
    progress.finish()
    return Passed(listed, tuple(sorted(here)), tuple(faults), read)


def _digest(path: Path, progress: Progress) -> str:
    with media.open_regular(path) as file, HashedFile(file) as hashed:
        while data := hashed.read(_PIECE):
            progress.advance(len(data))
        return hashed.digest()


def _number_of(listed: VolumeList, digest: str) -> int | None:
    numbered = enumerate(listed.volumes, 1)
    return next((number for number, volume in numbered if volume.digest == digest), None)
