"""A disk that is full or broken, at every call: it is said by name, what was served is served, and
the same command completes once the disk is well.

Real calls of the real command line fail, one at a time or all from some moment on.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from bundles.files.writeout import WriteOut
from bundles.store import local_ingest
from bundles.store.errors import StoreError
from bundles.store.local_lock import LocalLock
from tests.bundles.content import listing
from tests.bundles.making import Workshop
from tests.bundles.test_crash import Homes, building, calls_of, check_built, named
from tests.disk.lives import ANY, CHANGES, TAKES_SPACE, Deed, End, Kind, Lane, Plot
from tests.disk.many import each, spread
from tests.disk.site import Act, Site

FAULTS = {
    "EIO": (errno.EIO, Deed.FAIL, ANY),
    "EIO from then on": (errno.EIO, Deed.FAIL_ON, CHANGES),
    "ENOSPC": (errno.ENOSPC, Deed.FAIL, TAKES_SPACE),
    "ENOSPC from then on": (errno.ENOSPC, Deed.FAIL_ON, TAKES_SPACE),
}
#: Codes of what a failing disk may be told as; a traceback or an unforeseen error is none of them.
TOLD = {
    "store-failed", "store-full", "bad-refs", "blob-missing", "blob-damaged", "damaged-store",
    "damaged-base", "missing-base", "store-damaged",
}  # fmt: skip


@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_disk_that_fails_at_any_call(
    warm: Sequence[Lane], act: Act, fresh: Homes, fault: str
) -> None:
    error, deed, kinds = FAULTS[fault]
    calls = calls_of(warm[0], act, fresh, kinds)

    def fail(lane: Lane, at: int) -> None:
        with fresh(act.before) as home:
            plot = Plot(home / "store", deed, at, kinds, error)
            end = lane.run(home, *act.words, plot=plot)
            assert end.code == act.code or refused(end, error), end.err
            act.check(home)
            end = lane.run(home, *act.words)
            assert end.code == act.code, end.err
            act.done(home)

    each(warm, spread(calls, 30 if act.name == "import" else 14), fail)


def refused(end: End, error: int) -> bool:
    """Whether it ended with an error that says what is wrong."""
    assert end.code == 1
    assert "Traceback" not in end.err
    said = end.error
    assert said["code"] in TOLD, said
    assert said["hint"]
    if error == errno.ENOSPC:
        assert said["code"] == "store-full", said
    return True


@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_build_on_a_disk_that_fails_at_any_call(
    warm: Sequence[Lane], site: Site, fault: str
) -> None:
    """Nothing is left but whole volumes; where only the courier's sheet failed, all of them."""
    error, deed, kinds = FAULTS[fault]
    home, whole = site.homes["old"], site.folder / f"whole-{error}-{deed}"
    end = warm[0].run(home, *building(site, whole), plot=Plot(whole, kinds=kinds))
    assert end.code == 0, end.err
    expected, calls = listing(whole), end.calls

    def fail(lane: Lane, at: int) -> None:
        out = site.folder / f"failed-{error}-{deed}-{at}"
        end = lane.run(home, *building(site, out), plot=Plot(out, deed, at, kinds, error))
        check_built(site, out, expected)
        if end.code != 0:
            assert end.code == 1 and "Traceback" not in end.err
            assert end.error["code"] == "output-failed", end.error
            if error == errno.ENOSPC:
                assert "space" in end.error["error"].lower()
        if not named(out):
            assert lane.run(home, *building(site, out)).code == 0
            assert listing(out) == expected

    each(warm, spread(calls, 25), fail)


def test_what_a_failed_sync_on_the_way_should_have_written_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is set to work during the import, too; the failure is told only then."""
    shop = Workshop(tmp_path)
    volumes = shop.build()
    fails = [True]
    sync = LocalLock.sync

    def once(lock: LocalLock) -> None:
        if fails.pop() if fails else False:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(lock)

    with monkeypatch.context() as patch:
        patch.setattr(LocalLock, "sync", once)
        patch.setattr(local_ingest, "WriteOut", lambda sync: WriteOut(sync, every=1))
        with pytest.raises(StoreError, match="Input/output"):
            shop.import_(*volumes)
    staging = shop.store.folder / "staging"
    assert not fails
    assert [path for path in staging.rglob("*") if path.is_file()] == []
    assert shop.import_(*volumes).state == "complete"


def test_refs_that_cannot_be_read_for_now_are_not_made_anew(
    warm: Sequence[Lane], site: Site, fresh: Homes
) -> None:
    """Else the sequences that stop a rollback, and all that is served, would be gone."""
    act = site.acts()["import"]
    with fresh(act.before) as home:
        before = (home / "store/index.json").read_bytes()
        # Every look from some moment on: at the folder, at the layout, at the refs.
        for kinds in (Kind.LOOK, Kind.READ, Kind.LOOK | Kind.READ):
            for at in range(1, 9):
                plot = Plot(home / "store", Deed.FAIL_ON, at, kinds)
                for words in (act.words, ("store", "gc", "--yes")):
                    warm[0].run(home, *words, plot=plot)
                    assert (home / "store/index.json").read_bytes() == before
        act.check(home)
