"""kill -9 at any moment: what was served is still served, nothing half is, and a rerun completes.

The real command line runs in processes that are forked from a warm server, so that there is time
for thousands of deaths. They die before the N-th call that changes a file or syncs it, for every N;
in the middle of a write; and at moments that the clock alone decides.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bundles.progress import SILENT
from bundles.store import fsck
from bundles.store.errors import StoreError
from tests.bundles.content import listing, served, under
from tests.disk.fixtures import Fresh
from tests.disk.lives import CHANGES, Deed, Kind, Lane, Plot
from tests.disk.many import each, spread
from tests.disk.site import NEW, OTHER, Act, Site, check_serving, store_of

KILLED = -signal.SIGKILL
Homes = Callable[[Path], Fresh]


def calls_of(lane: Lane, act: Act, fresh: Homes, kinds: Kind = CHANGES) -> int:
    """How many calls a whole run makes."""
    with fresh(act.before) as home:
        end = lane.run(home, *act.words, plot=Plot(home / "store", kinds=kinds))
        assert end.code == act.code, end.err
        act.done(home)
        return end.calls


@pytest.mark.timeout(900)
def test_killed_at_every_write_fsync_and_rename(
    warm: Sequence[Lane], act: Act, fresh: Homes
) -> None:
    """Of an import, the first import of a site, of a delta, of a repair; of gc and of fsck. Some
    of those of what takes the same way, for the sake of time."""
    calls = calls_of(warm[0], act, fresh)
    writes = calls_of(warm[0], act, fresh, Kind.WRITE)
    most = calls if act.name in ("import", "gc") else 50
    cases = [(Deed.KILL, CHANGES, at) for at in spread(calls, most)]
    cases += [(Deed.TEAR, Kind.WRITE, at) for at in spread(writes, most)]

    def die(lane: Lane, case: tuple[Deed, Kind, int]) -> None:
        deed, kinds, at = case
        with fresh(act.before) as home:
            plot = Plot(home / "store", deed, at, kinds)
            assert lane.run(home, *act.words, plot=plot).code == KILLED
            act.check(home)
            end = lane.run(home, *act.words)
            # What a fsck that was killed had put aside, the next one tells as missing.
            assert end.code == act.code, end.err
            act.done(home)

    each(warm, cases, die)


@pytest.mark.timeout(900)
def test_an_import_killed_at_a_thousand_random_moments(
    warm: Sequence[Lane], site: Site, fresh: Homes
) -> None:
    """Each home sees deaths until one of its imports comes to its end."""
    act = site.acts()["import"]
    with fresh(act.before) as home:
        end = warm[0].run(home, *act.words, plot=Plot(home / "store"))
        window = end.nanoseconds
    deaths, completed = itertools.count(), itertools.count()
    draw = random.SystemRandom()

    def live(lane: Lane, number: int) -> None:
        with fresh(act.before) as home:
            for _ in range(50):
                moment = draw.randrange(1, window)
                plot = Plot(home / "store", Deed.TIMED, moment)
                code = lane.run(home, *act.words, plot=plot).code
                if code == 0:
                    next(completed)
                    break
                assert code == KILLED
                next(deaths)
                act.check(home)
            else:
                assert lane.run(home, *act.words).code == 0
            act.done(home)

    homes = 0
    while (died := _value(deaths)) < 1000:
        each(warm, range(homes, homes + 20), live)
        homes += 20
        assert homes < 5000, died
    print(f"{_value(deaths)} deaths in {homes} homes, {_value(completed)} ended in between")


def _value(count: itertools.count[int]) -> int:
    """How often it was counted."""
    return int(repr(count)[len("count(") : -1])


def test_an_import_killed_again_and_again_goes_on(
    warm: Sequence[Lane], site: Site, fresh: Homes
) -> None:
    """Each run gets a little further than the last, whatever the last left behind."""
    act = site.acts()["import"]
    with fresh(act.before) as home:
        deaths = 0
        plot = Plot(home / "store", Deed.KILL, at=30)
        while (code := warm[0].run(home, *act.words, plot=plot).code) == KILLED:
            act.check(home)
            deaths += 1
            assert deaths < 30, "no progress from run to run"
        assert code == 0
        assert deaths > 2
        act.done(home)


def test_the_command_line_killed_from_outside(site: Site, fresh: Homes) -> None:
    """A fresh interpreter each time, and the clock alone decides when it dies."""
    act = site.acts()["import"]
    command = [sys.executable, "-m", "goosectl", *map(str, act.words)]

    def run(home: Path) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "GOOSE_HOME": str(home)}
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(command, env=environment, stdout=nowhere, stderr=nowhere)

    with fresh(act.before) as home:
        began = time.monotonic()
        assert run(home).wait() == 0
        whole = time.monotonic() - began
    killed = 0
    for number in range(3):
        with fresh(act.before) as home:
            process = run(home)
            time.sleep(whole * (0.5 + 0.15 * number))
            process.kill()
            killed += process.wait() == KILLED
            act.check(home)
            assert run(home).wait() == 0
            act.done(home)
    assert killed


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("tear", [_truncate, _zero, _empty, _flip])
def test_a_power_loss_tears_staged_blobs(
    warm: Sequence[Lane], site: Site, fresh: Homes, tear: Callable[[Path], None]
) -> None:
    """What is in staging was never promised to be durable: it is hashed again."""
    act = site.acts()["import"]
    with fresh(act.before) as home:
        # The first sync is that of whoever takes the store, before anything is staged.
        plot = Plot(home / "store", Deed.KILL, at=2, kinds=Kind.SYNC)
        assert warm[0].run(home, *act.words, plot=plot).code == KILLED
        staged = [path for path in (home / "store/staging").rglob("*") if path.is_file()]
        assert len(staged) > 10
        for path in staged[::3]:
            tear(path)
        act.check(home)
        assert warm[0].run(home, *act.words).code == 0
        act.done(home)


@pytest.mark.parametrize("first", ["import", "gc", "delta", "repair"])
def test_whoever_comes_while_another_writes_is_refused(
    warm: Sequence[Lane], site: Site, fresh: Homes, first: str
) -> None:
    """Wherever it stands, and whatever the second is: an import of the same, one of another
    bundle, a clean-up; both of them come to their ends."""
    act = site.acts()[first]
    others = [
        ("bundle", "import", site.media["base2.0"]),
        ("bundle", "import", site.media["other1.0"]),
        ("store", "gc", "--yes"),
    ]
    calls = calls_of(warm[0], act, fresh)

    def meet(lane: Lane, at: int) -> None:
        with fresh(act.before) as home:
            life = lane.start(home, *act.words, plot=Plot(home / "store", Deed.STOP, at))
            assert life.stopped()
            try:
                act.check(home)
                end = lane.run(home, *others[at % 3])
                # The lock is taken with the third call: mkdir, open, and then flock.
                if end.code != 0 or at > 3:
                    assert (end.code, end.error["code"]) == (1, "store-busy")
                store_of(home).refs()
            finally:
                os.kill(life.pid, signal.SIGCONT)
            end = life.end()
            if end.code != act.code:
                assert end.error["code"] == "store-busy" and at <= 3
                assert lane.run(home, *act.words).code == act.code
            act.done(home)

    each(warm, spread(calls, 25), meet)


def test_a_check_while_another_writes_finds_nothing_wrong(
    warm: Sequence[Lane], site: Site, fresh: Homes
) -> None:
    for name in ("import", "gc"):
        act = site.acts()[name]
        for at in spread(calls_of(warm[0], act, fresh), 8):
            with fresh(act.before) as home:
                plot = Plot(home / "store", Deed.STOP, at)
                life = warm[0].start(home, *act.words, plot=plot)
                assert life.stopped()
                try:
                    assert not fsck.check(store_of(home), SILENT).faults
                finally:
                    os.kill(life.pid, signal.SIGCONT)
                    life.end()


def test_commands_that_start_together(warm: Sequence[Lane], site: Site, fresh: Homes) -> None:
    """Two imports of one bundle, one of another and a clean-up race; who lost runs again."""
    same = ("bundle", "import", site.media["base2.0"])
    other = ("bundle", "import", site.media["other1.0"])
    clean = ("store", "gc", "--unfinished", "--yes")
    won = set()
    for number in range(6):
        with fresh(site.homes["new"]) as home:
            racing = [same, other, clean, same]
            racing = racing[number % 4 :] + racing[: number % 4]
            lives = [warm[0].start(home, *words) for words in racing]
            ends = [life.end() for life in lives]
            for words, end in zip(racing, ends, strict=True):
                if end.code == 0:
                    won.add(words)
                else:
                    assert end.error["code"] == "store-busy", end.err
            assert any(end.code == 0 for end in ends)
            for words in (same, other, clean):
                assert warm[0].run(home, *words).code == 0
            store = store_of(home)
            assert served(store) == under("t", NEW)
            assert served(store, "other") == under("t", OTHER)
            assert not fsck.check(store, SILENT).faults
    assert {same, other} <= won


def test_reading_goes_on_while_versions_come_and_go(
    warm: Sequence[Lane], site: Site, fresh: Homes
) -> None:
    """A reader never meets a version of which a part is missing."""
    with fresh(site.homes["old"]) as home:
        store, over, read, faults = store_of(home), threading.Event(), itertools.count(), []

        def look() -> None:
            while not over.is_set():
                try:
                    check_serving(store)
                except (AssertionError, StoreError) as error:
                    faults.append(error)
                    return
                next(read)

        reader = threading.Thread(target=look)
        reader.start()
        try:
            end = warm[0].run(home, "bundle", "import", site.media["base2.0"])
            assert end.code == 0
            for words in (
                ("store", "switch", "base@1.0"),
                ("store", "switch", "base@2.0"),
            ):
                assert warm[0].run(home, *words).code == 0
        finally:
            over.set()
            reader.join()
        assert _value(read) and not faults, faults


def building(site: Site, out: Path) -> tuple[str | Path, ...]:
    """The command that builds a bundle of several volumes into `out`."""
    build = ("bundle", "build", site.recipe, "--key", site.key)
    return (*build, "--volume-size", "200000", "--out", out)


@pytest.mark.timeout(900)
def test_a_build_killed_at_every_write_fsync_and_rename(warm: Sequence[Lane], site: Site) -> None:
    """No volume has its final name before it is whole, and no list names one that is not."""
    home, whole = site.homes["old"], site.folder / "built"
    end = warm[0].run(home, *building(site, whole), plot=Plot(whole))
    assert end.code == 0, end.err
    expected = listing(whole)
    assert len([name for name in expected if name.endswith(".tar")]) > 2

    def die(lane: Lane, case: tuple[Deed, int]) -> None:
        deed, at = case
        out = site.folder / f"built-{deed}-{at}"
        assert lane.run(home, *building(site, out), plot=Plot(out, deed, at)).code == KILLED
        check_built(site, out, expected)
        if not named(out):
            # The next build takes away what this one left under temporary names.
            assert lane.run(home, *building(site, out)).code == 0
            assert listing(out) == expected

    each(
        warm, [(deed, at) for at in range(1, end.calls + 1) for deed in (Deed.KILL, Deed.TEAR)], die
    )


def named(out: Path) -> dict[str, bytes]:
    """What is in a folder under final names."""
    left = listing(out) if out.exists() else {}
    return {name: data for name, data in left.items() if not name.startswith(".")}


def check_built(site: Site, out: Path, expected: dict[str, bytes]) -> None:
    """What a build that was ended left under final names is whole, and the list came last."""
    left = named(out)
    assert left.items() <= expected.items()
    if any(name.endswith(".json") for name in left):
        assert {name for name in expected if name.endswith(".tar")} <= set(left)
    for name in left:
        if name.endswith(".tar"):
            site.workshop.check(out / name)
