"""What the tests of dying processes and failing disks share."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.disk.lives import Lane, lanes, scratch
from tests.disk.site import Act, Site, copied

_numbers = itertools.count()


@pytest.fixture(scope="session")
def warm() -> Iterator[Sequence[Lane]]:
    """Two servers of warm processes."""
    with scratch() as folder, lanes(folder, 2) as opened:
        yield opened


@pytest.fixture(scope="session")
def site(warm: Sequence[Lane]) -> Iterator[Site]:
    with scratch() as folder:
        made = Site(folder, warm[0])
        for lane in warm:
            lane.warm(made.copy(f"warm{next(_numbers)}", "old"), *made.acts()["import"].words)
        yield made


_ACTS = ["import", "first import", "half", "delta", "repair", "gc", "switch", "fsck"]


@pytest.fixture(params=_ACTS)
def act(request: pytest.FixtureRequest, site: Site) -> Act:
    return site.acts()[request.param]


class Fresh:
    """A context with a copy of a home, gone again after it."""

    def __init__(self, source: Path, folder: Path) -> None:
        self._source = source
        self.home = folder / f"home{next(_numbers)}"

    def __enter__(self) -> Path:
        return copied(self._source, self.home)

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:  # else it is left to look at, until the session's end
            shutil.rmtree(self.home)


@pytest.fixture
def fresh(site: Site) -> Callable[[Path], Fresh]:
    """Makes a copy of a home."""
    return lambda source: Fresh(source, site.folder)
