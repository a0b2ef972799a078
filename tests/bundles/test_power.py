"""Power lost at any moment: what was not synced is dropped, torn or reordered, in every way that
tests/disk/power.py can think of.

What holds: the refs are those of before or of after; whatever they reach is there and right; a blob
under its final name is what it is named for. And what a command called done stays done, also when
it only finished what an earlier one had begun, and after a sync that failed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from bundles import digest as digests
from bundles.store import Refs, refs
from bundles.store.local import LocalStore
from bundles.store.protocol import BundleRef
from bundles.store.reach import reach, refuse
from tests.bundles.content import listing
from tests.bundles.test_crash import KILLED, Homes, building, calls_of
from tests.disk.lives import Deed, Kind, Lane, Plot
from tests.disk.many import each, spread
from tests.disk.power import Call, Disk, Files, lay_down, read_record, subsets
from tests.disk.site import Act, Site, store_of

DRAWN = 100  # subsets at random, for each sync


class Judge:
    """Says what is wrong with what a power loss left of a store."""

    def __init__(self, act: Act, after: LocalStore) -> None:
        self._old = store_of(act.before).refs() if act.before_store else None
        self._new, self._kept = after.refs(), {blob.digest for blob in after.blobs()}
        self._hurt = {digests.hex_of(digest) for digest in act.hurt}
        self._reached: dict[BundleRef, frozenset[str]] = {}
        self._hashes: dict[bytes, str] = {}

    def check(self, left: Files, done: bool) -> None:
        """Raises AssertionError; `done` where the command had said that it was."""
        index = left.get("index.json")
        if index is None:
            assert self._old is None and not done
            assert "oci-layout" not in left  # else nobody would dare to begin anew
            return
        here = refs.decode(index, "index.json")
        assert here in ((self._new,) if done else (self._old, self._new, Refs()))
        assert here != Refs() or self._old is None
        if "index.json.previous" in left:
            refs.decode(left["index.json.previous"], "index.json.previous")
        blobs = {
            path.removeprefix("blobs/sha256/"): data
            for path, data in left.items()
            if path.startswith("blobs/")
        }
        for name, data in blobs.items():
            assert name in self._hurt or self._hash(data) == name, f"{name} is torn"
        if done:
            assert {digests.hex_of(digest) for digest in self._kept} <= blobs.keys()
        for ref in here.bundles:
            missing = self._needs(ref, blobs) - blobs.keys()
            assert missing <= (set() if done else self._hurt), f"{ref.version} lacks {missing}"

    def _needs(self, ref: BundleRef, blobs: Files) -> frozenset[str]:
        if ref not in self._reached:

            def read(digest: str, limit: int) -> bytes:
                return blobs[digests.hex_of(digest)]

            found = reach(ref, read, refuse)
            self._reached[ref] = frozenset(digests.hex_of(use.digest) for use in found)
        return self._reached[ref]

    def _hash(self, data: bytes) -> str:
        if data not in self._hashes:
            self._hashes[data] = digests.hex_of(digests.of(data))
        return self._hashes[data]


def losses(disk: Disk, calls: Iterable[Call], drawn: int = DRAWN) -> Iterator[tuple[Call, Files]]:
    """What power losses leave, at each sync and at the end."""
    for call in disk.play(calls):
        for chosen, lost in subsets(disk.open, drawn):
            yield call, disk.left(chosen, lost)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "record"


def test_power_lost_during_a_command(
    warm: Sequence[Lane], act: Act, fresh: Homes, record: Path
) -> None:
    """And after it, and every so often the command is run again on what is left."""
    with fresh(act.before) as home:
        disk = Disk(home / "store")
        end = warm[0].run(home, *act.words, plot=Plot(home / "store", record=record))
        assert end.code == act.code, end.err
        judge = Judge(act, store_of(home))
    seen, count = set(), 0
    for call, left in losses(disk, read_record(record)):
        judge.check(left, done=call.name == "end" and act.code == 0)
        count += 1
        seen.add(frozenset(left.items()))
    assert count > 100
    print(f"{act.name}: {count} losses, {len(seen)} different")
    again = sorted(seen, key=hash)

    def go_on(lane: Lane, number: int) -> None:
        with fresh(act.before) as home:
            shutil.rmtree(home / "store")
            (home / "store").mkdir()
            lay_down(dict(again[number - 1]), home / "store")
            act.check(home)
            end = lane.run(home, *act.words)
            assert end.code == act.code, end.err
            act.done(home)

    each(warm, spread(len(again), 20), go_on)


@pytest.mark.timeout(900)
def test_a_run_that_finishes_what_a_killed_one_began_makes_all_of_it_durable(
    warm: Sequence[Lane], act: Act, fresh: Homes, tmp_path: Path
) -> None:
    """What the first run left in the page cache is not on the disk yet, and looks as if it were."""
    calls = calls_of(warm[0], act, fresh)

    def twice(lane: Lane, at: int) -> None:
        record = tmp_path / f"record{at}"
        with fresh(act.before) as home:
            disk = Disk(home / "store")
            first = Plot(home / "store", Deed.KILL, at, record=record)
            assert lane.run(home, *act.words, plot=first).code == KILLED
            end = lane.run(home, *act.words, plot=Plot(home / "store", record=record))
            assert end.code == act.code, end.err
            judge = Judge(act, store_of(home))
        for call, left in losses(disk, read_record(record), drawn=10):
            judge.check(left, done=call.name == "end" and act.code == 0)

    last = set(range(max(1, calls - 9), calls + 1))  # where the refs switch
    each(warm, sorted(last.union(spread(calls, 16 if act.name == "import" else 4))), twice)


@pytest.mark.timeout(900)
def test_a_sync_that_failed_is_not_made_good_by_the_next(
    warm: Sequence[Lane], act: Act, fresh: Homes, tmp_path: Path
) -> None:
    """Linux tells of bytes that it could not write once, and then counts them as written."""
    syncs = calls_of(warm[0], act, fresh, Kind.SYNC)

    def fail(lane: Lane, at: int) -> None:
        record = tmp_path / f"record{at}"
        with fresh(act.before) as home:
            disk = Disk(home / "store")
            first = Plot(home / "store", Deed.FAIL, at, Kind.SYNC, record=record)
            end = lane.run(home, *act.words, plot=first)
            assert end.code == 1, end.out
            act.check(home)
            end = lane.run(home, *act.words, plot=Plot(home / "store", record=record))
            assert end.code == act.code, end.err
            judge = Judge(act, store_of(home))
        for call, left in losses(disk, read_record(record), drawn=10):
            judge.check(left, done=call.name == "end" and act.code == 0)

    each(warm, range(1, syncs + 1), fail)


def test_power_lost_during_a_build(warm: Sequence[Lane], site: Site, record: Path) -> None:
    """No name of a volume stands for less than the volume, and the list names no other."""
    out = site.folder / "built-power"
    out.mkdir()
    disk = Disk(out)
    end = warm[0].run(site.homes["old"], *building(site, out), plot=Plot(out, record=record))
    assert end.code == 0, end.err
    expected = listing(out)
    count = 0
    for call, left in losses(disk, read_record(record)):
        named = {path: data for path, data in left.items() if not path.startswith(".")}
        assert named.items() <= expected.items()
        if any(name.endswith(".json") for name in named):
            assert {name for name in expected if name.endswith(".tar")} <= set(named)
        if call.name == "end":
            assert named == expected
        count += 1
    assert count > 1000
