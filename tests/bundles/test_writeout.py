"""The disk is set to work while more is written, and what it says is not lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundles import digest as digests
from bundles.files.pending import PendingFile
from bundles.files.writeout import WriteOut
from bundles.store.errors import StoreError
from bundles.store.local import LocalStore

DATA = bytes(1000)


@contextmanager
def closing(work: WriteOut) -> Iterator[WriteOut]:
    try:
        yield work
    finally:
        work.close()


def test_writer_does_not_wait_for_the_disk() -> None:
    """While one sync runs, more is written, and no second one is started beside it."""
    begun, done = threading.Semaphore(0), threading.Event()
    calls: list[threading.Thread] = []

    def sync() -> None:
        calls.append(threading.current_thread())
        begun.release()
        done.wait()

    with closing(WriteOut(sync, every=100)) as work:
        work.wrote(99)
        assert not calls
        work.wrote(1)
        assert begun.acquire(timeout=60)
        work.wrote(500)
        assert len(calls) == 1
        done.set()
        work.wait()
        work.wrote(0)  # the 500 from before are enough
        assert begun.acquire(timeout=60)
    assert len(calls) == 2
    assert threading.current_thread() not in calls


@pytest.mark.parametrize(
    "ask", [WriteOut.wait, lambda work: work.wrote(100)], ids=["wait", "wrote"]
)
def test_failed_sync_is_told(ask: Callable[[WriteOut], None]) -> None:
    """The kernel reports a write error once: whoever hears of it must hand it on."""
    over = threading.Event()

    def sync() -> None:
        over.set()
        raise OSError(5, "Input/output error")

    with closing(WriteOut(sync, every=100)) as work:
        work.wrote(100)
        assert over.wait(60)
        with pytest.raises(OSError, match="Input/output error"):
            ask(work)


@pytest.fixture
def failing_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(5, "Input/output error")

    for module in ("bundles.files.pending", "bundles.store.local_ingest"):
        monkeypatch.setattr(f"{module}.WriteOut", lambda _: WriteOut(fail, every=len(DATA)))


@pytest.mark.usefixtures("failing_disk")
def test_build_hears_of_it(tmp_path: Path) -> None:
    with PendingFile(tmp_path / "volume") as file:
        file.write(DATA)
        file.end()
        with pytest.raises(OSError, match="Input/output error"):
            file.sync()


@pytest.mark.usefixtures("failing_disk")
def test_import_hears_of_it(tmp_path: Path) -> None:
    digest = digests.of(DATA)
    with LocalStore(tmp_path).ingest(digest) as ingest:
        ingest.put(digest, DATA)
        with pytest.raises(StoreError, match="Input/output error"):
            ingest.checkpoint()
