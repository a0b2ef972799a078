"""What every store must do."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from bundles import digest as digests
from bundles.store import BundleRef, Refs, S3Address, Store
from bundles.store.errors import BadRefs, BlobDamaged, BlobMissing, StoreBusy, StoreError
from bundles.store.refs import with_bundle
from tests.bundles.content import artifact, lay_out, noise, served, under
from tests.bundles.making import Workshop
from tests.bundles.store_backends import Backend, blob_name, opened
from tests.s3_server import environment

ROOT = digests.of(b"root")
MIB = 1024 * 1024
REF = BundleRef("base", "1.0", 1, ROOT, 4, digests.of(b"{}"), (), "2026-11-24T12:00:00Z", True)


def put(store: Store, *blobs: bytes) -> list[str]:
    """Stores `blobs` and a ref; returns their digests."""
    with store.ingest(ROOT) as ingest:
        for data in blobs:
            ingest.put(digests.of(data), data)
        ingest.publish(lambda refs: with_bundle(refs, REF))
    return [digests.of(data) for data in blobs]


# Blobs


def test_an_empty_store_has_nothing_and_is_not_made_by_looking(
    backend: Backend, store: Store
) -> None:
    assert store.refs() == Refs()
    assert list(store.blobs()) == []
    assert not store.has(ROOT)
    store.refs_token()
    assert backend.names() == set()


def test_what_was_put_comes_back(store: Store) -> None:
    for data in (b"", b"x", noise("small", 300_000)):
        (digest,) = put(store, data)
        assert store.has(digest)
        assert store.size(digest) == len(data)
        assert store.read(digest, len(data)) == data
        with store.open(digest) as file:
            assert file.read() == data


@pytest.mark.parametrize("size", [0, 1, 16 * MIB - 1, 16 * MIB, 16 * MIB + 1, 50 * MIB])
def test_a_blob_written_in_pieces_comes_back(store: Store, size: int) -> None:
    data = noise("pieces", size)
    digest = digests.of(data)
    with store.ingest(ROOT) as ingest:
        with ingest.create(digest) as blob:
            for start in range(0, size, 3_000_000):
                blob.write(memoryview(data)[start : start + 3_000_000])
        assert ingest.has(digest, size)
        ingest.publish(lambda refs: refs)
    with store.open(digest) as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digests.hex_of(digest)
    assert store.size(digest) == size


@pytest.mark.parametrize("size", [1000, 40 * MIB])
def test_a_blob_left_by_an_exception_is_never_seen(
    backend: Backend, store: Store, size: int
) -> None:
    digest = digests.of(b"other bytes")

    def fail() -> None:
        with ingest.create(digest) as blob:
            blob.write(noise("wrong", size))
            raise KeyError

    with store.ingest(ROOT) as ingest:
        with pytest.raises(KeyError):
            fail()
        assert not ingest.has(digest, size)
        ingest.publish(lambda refs: refs)
    assert not store.has(digest)
    assert blob_name(digest) not in backend.names()


def test_a_buffer_may_be_used_again(store: Store) -> None:
    buffer = bytearray(b"a" * 1000)
    first, second = digests.of(b"a" * 1000), digests.of(b"a" * 1000 + b"b" * 1000)
    with store.ingest(ROOT) as ingest:
        with ingest.create(second) as blob:
            blob.write(memoryview(buffer))
            ingest.put(first, memoryview(buffer))
            buffer[:] = b"b" * 1000
            blob.write(memoryview(buffer))
            buffer[:] = b"c" * 1000
        ingest.publish(lambda refs: refs)
    assert store.read(first, 1000) == b"a" * 1000
    assert store.read(second, 2000) == b"a" * 1000 + b"b" * 1000


def test_a_stream_reads_any_range(store: Store) -> None:
    data = noise("ranges", 20 * MIB)
    (digest,) = put(store, data)
    drawn = random.Random(3)
    with store.open(digest) as file:
        assert file.seek(0, os.SEEK_END) == len(data)
        assert file.read(1) == b""
        for _ in range(40):
            start = drawn.randrange(len(data))
            count = drawn.choice([1, 100, 300_000, 2_000_000])
            assert file.seek(start) == start
            assert file.read(count) == data[start : start + count]
            assert file.tell() == min(start + count, len(data))
        file.seek(-7, os.SEEK_END)
        assert file.read() == data[-7:]


def test_streams_of_one_blob_are_independent(store: Store) -> None:
    data = noise("two", 5 * MIB)
    (digest,) = put(store, data)
    with store.open(digest) as one, store.open(digest) as two:
        assert one.read(100) == data[:100]
        assert two.read(2 * MIB) == data[: 2 * MIB]
        assert one.read(100) == data[100:200]


def test_a_missing_blob_is_named(store: Store) -> None:
    put(store, b"other")
    gone = digests.of(b"gone")
    assert not store.has(gone)
    for look in (store.size, store.open, lambda digest: store.read(digest, 10)):
        with pytest.raises(BlobMissing, match=gone):
            look(gone)
    with store.ingest(ROOT) as ingest:
        assert not ingest.has(gone, 4)


def test_a_blob_longer_than_allowed_is_not_read(store: Store) -> None:
    (digest,) = put(store, b"twelve bytes")
    assert store.read(digest, 12) == b"twelve bytes"
    with pytest.raises(StoreError, match="longer than 11 bytes"):
        store.read(digest, 11)


def test_a_damaged_blob_is_not_read(backend: Backend, store: Store) -> None:
    (digest,) = put(store, b"right bytes")
    backend.write(blob_name(digest), b"wrong bytes")
    with pytest.raises(BlobDamaged, match=digest):
        store.read(digest, 100)


def test_a_blob_cut_short_is_replaced(backend: Backend, store: Store) -> None:
    (digest,) = put(store, b"right bytes")
    backend.write(blob_name(digest), b"right")
    with store.ingest(ROOT) as ingest:
        assert not ingest.has(digest, 11)
        ingest.put(digest, b"right bytes")
        ingest.publish(lambda refs: refs)
    assert store.read(digest, 100) == b"right bytes"


def test_thousands_of_blobs_are_listed_and_found(store: Store) -> None:
    blobs = {digests.of(data): data for data in (b"%d" % n for n in range(2_345))}
    put(store, *blobs.values())
    listed = list(store.blobs())
    assert len(listed) == len(blobs)
    assert {blob.digest: blob.size for blob in listed} == {d: len(b) for d, b in blobs.items()}
    assert all(blob.modified.tzinfo for blob in listed)
    with store.ingest(ROOT) as ingest:
        assert all(ingest.has(digest, len(data)) for digest, data in blobs.items())
        assert not any(ingest.has(digest, len(data) + 1) for digest, data in blobs.items())


# Refs


def test_refs_switch_for_everyone(backend: Backend, store: Store) -> None:
    other = opened(backend)
    assert other.refs() == Refs()
    put(store, b"x")
    assert other.refs() == store.refs() == with_bundle(Refs(), REF)


def test_the_token_changes_with_the_refs(backend: Backend, store: Store) -> None:
    put(store, b"x")
    before = opened(backend).refs_token()
    assert opened(backend).refs_token() == before
    with store.ingest(ROOT) as ingest:
        ingest.publish(lambda refs: with_bundle(refs, replace(REF, version="1.1", sequence=2)))
    assert opened(backend).refs_token() != before


def test_a_change_that_raises_switches_nothing(store: Store) -> None:
    put(store, b"x")

    def fail(refs: Refs) -> Refs:
        raise KeyError

    with store.ingest(ROOT) as ingest, pytest.raises(KeyError):
        ingest.publish(fail)
    assert store.refs() == with_bundle(Refs(), REF)


def test_what_was_published_is_there_before_the_refs_are(backend: Backend, store: Store) -> None:
    blobs = [b"%d" % n for n in range(50)]
    with store.ingest(ROOT) as ingest:
        for data in blobs:
            ingest.put(digests.of(data), data)

        def change(refs: Refs) -> Refs:
            assert {blob_name(digests.of(data)) for data in blobs} <= backend.names()
            return with_bundle(refs, REF)

        ingest.publish(change)


def test_refs_that_are_gone_are_no_new_store(backend: Backend, store: Store) -> None:
    put(store, b"x")
    backend.lose("index.json")
    with pytest.raises(BadRefs, match="missing from a store that has content"):
        opened(backend).refs()
    with pytest.raises(BadRefs), opened(backend).ingest(ROOT) as ingest:
        ingest.publish(lambda refs: with_bundle(refs, REF))


def test_refs_that_are_damaged_are_refused(backend: Backend, store: Store) -> None:
    put(store, b"x")
    backend.write("index.json", b"{}")
    with pytest.raises(BadRefs):
        opened(backend).refs()


def test_the_refs_before_the_last_switch_are_kept(backend: Backend, store: Store) -> None:
    assert store.previous_refs() == Refs()
    put(store, b"x")
    first = store.refs()
    assert store.previous_refs() == Refs()
    with store.ingest(ROOT) as ingest:
        ingest.publish(lambda refs: with_bundle(refs, replace(REF, version="1.1", sequence=2)))
    assert store.previous_refs() == first
    backend.write("index.json", backend.read("index.json.previous"))
    assert opened(backend).refs() == first


def test_the_refs_before_the_last_switch_can_be_made_those_of_now(
    backend: Backend, store: Store
) -> None:
    put(store, b"x")
    with store.maintain() as upkeep:
        upkeep.settle()
        assert store.previous_refs() == store.refs() == with_bundle(Refs(), REF)
        backend.write("index.json.previous", b"torn")
        upkeep.settle()
    assert store.previous_refs() == store.refs()


# The lock


def test_one_writer_at_a_time(backend: Backend, store: Store) -> None:
    with store.ingest(ROOT):
        for take in (lambda other: other.ingest(ROOT), lambda other: other.maintain()):
            with pytest.raises(StoreBusy, match="is being written by"):
                take(opened(backend))
        assert opened(backend).refs() == Refs()
    with opened(backend).maintain(), pytest.raises(StoreBusy):
        store.ingest(ROOT)
    with store.ingest(ROOT):
        pass


def test_of_many_that_start_at_once_one_writes(backend: Backend) -> None:
    got, refused = [], []
    start, done = threading.Barrier(6), threading.Event()

    def run() -> None:
        store = opened(backend)
        start.wait()
        try:
            with store.ingest(ROOT):
                got.append(1)
                done.wait(30)
        except StoreBusy:
            refused.append(1)
        finally:
            if len(got) + len(refused) == 6 or len(refused) == 5:
                done.set()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 5)


# Upkeep


def test_a_blob_is_removed(store: Store) -> None:
    first, second = put(store, b"first", b"second")
    with store.maintain() as upkeep:
        upkeep.remove(first)
        upkeep.remove(first)
    assert [blob.digest for blob in store.blobs()] == [second]
    assert store.refs() == with_bundle(Refs(), REF)


def test_a_damaged_blob_is_put_aside_and_comes_again(backend: Backend, store: Store) -> None:
    (digest,) = put(store, b"right")
    backend.write(blob_name(digest), b"wrong")
    with store.maintain() as upkeep:
        where = upkeep.quarantine(digest)
        assert where.endswith(f"quarantine/{digests.hex_of(digest)}")
        with pytest.raises(BlobMissing):
            upkeep.quarantine(digest)
        backend.write(blob_name(digest), b"wrong again")
        assert upkeep.quarantine(digest).endswith(".1")
    assert f"quarantine/{digests.hex_of(digest)}" in backend.names()
    assert not store.has(digest)
    with store.ingest(ROOT) as ingest:
        assert not ingest.has(digest, 5)
    put(store, b"right")
    assert store.read(digest, 5) == b"right"


def test_upkeep_switches_the_refs_too(store: Store) -> None:
    put(store, b"x")
    with store.maintain() as upkeep:
        upkeep.publish(lambda refs: replace(refs, bundles=()))
    assert store.refs() == Refs(sequences={"base": 1})


def test_an_import_that_broke_off_is_found_and_discarded(backend: Backend, store: Store) -> None:
    def fail() -> None:
        with store.ingest(ROOT) as ingest, ingest.create(digests.of(b"?")) as blob:
            for _ in range(5):
                blob.write(noise("left", 10 * MIB))
            ingest.put(digests.of(b"whole"), b"whole")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with opened(backend).maintain() as upkeep:
        (left,) = upkeep.leftovers()
        assert left.root == ROOT
        assert left.size > 0
        assert left.modified.tzinfo
        assert upkeep.document(left, digests.of(b"whole"), 10) == b"whole"
        with pytest.raises(BlobMissing):
            upkeep.document(left, digests.of(b"gone"), 10)
        upkeep.discard(left)
        assert list(upkeep.leftovers()) == []
    assert not any(name.startswith("staging/") for name in backend.names())


def test_an_import_of_which_part_came_is_not_done(backend: Backend, store: Store) -> None:
    with store.ingest(ROOT) as ingest:
        ingest.put(digests.of(b"half"), b"half")
        ingest.checkpoint()
    with store.maintain() as upkeep:
        (left,) = upkeep.leftovers()
        assert (left.root, left.size) == (ROOT, 0)
    with opened(backend).ingest(ROOT) as ingest:
        assert ingest.has(digests.of(b"half"), 4)
        ingest.publish(lambda refs: with_bundle(refs, REF))
    with store.maintain() as upkeep:
        assert list(upkeep.leftovers()) == []


def test_an_import_that_brought_nothing_leaves_nothing(store: Store) -> None:
    put(store, b"x")
    with store.ingest(digests.of(b"another")):
        pass
    with store.maintain() as upkeep:
        assert list(upkeep.leftovers()) == []


# Whole imports


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


CONTENT = {
    **{f"many/{n:03}": (noise(f"m{n}", 3000 + n), 0o644) for n in range(150)},
    "large": (noise("large", 40 * MIB), 0o644),
    "run.sh": (b"#!/bin/sh\n", 0o755),
}


@pytest.fixture(scope="module")
def media(workshop: Workshop) -> list[Path]:
    """Two volumes of a bundle."""
    tree = lay_out(workshop.folder / "content", CONTENT)
    return workshop.build(artifacts=[artifact(tree, "t")], volume_size=24 * MIB)


def test_an_import_round_trip(workshop: Workshop, media: list[Path], store: Store) -> None:
    workshop.store = store  # type: ignore[assignment]
    done = workshop.import_(*media)
    assert done.state == "complete"
    assert served(store) == under("t", CONTENT)
    again = workshop.import_(*media)
    assert (again.state, again.bytes_written) == ("complete", 0)


_DYING = """
import os, signal, sys, time
from pathlib import Path
from bundles.signing import keys, policy, trust
from bundles.site.ingest import import_volumes
from bundles.progress import SILENT
from bundles.store import open_store
from goosed_daemon.settings import Settings
from tests.bundles.making import NOW

class Dying(type(SILENT)):
    def __init__(self, until): self.left = until
    def advance(self, count, item=None):
        self.left -= count
        if self.left <= 0:
            time.sleep(0.5)  # what goes on in the background comes to its end
            os.kill(os.getpid(), signal.SIGKILL)

public, until, *volumes = sys.argv[1:]
root = trust.first([(keys.load_public(Path(public))[0], "release")], 1)
store = open_store(Settings.load().store())
rules = policy.Policy(NOW, sequences=store.refs().sequences)
done = import_volumes([Path(v) for v in volumes], store, root, rules, Dying(int(until)))
print(done.bytes_written)
"""
TOTAL = sum(len(data) for data, _ in CONTENT.values())


def importing(
    backend: Backend, workshop: Workshop, media: list[Path], until: int = 2**60
) -> subprocess.CompletedProcess[str]:
    """Imports in a process that is killed after `until` bytes."""
    if isinstance(backend.address, S3Address):
        known = {"GOOSE_HOME": str(workshop.folder), **environment(backend.address)}
    else:
        known = {"GOOSE_HOME": str(backend.address.parent)}
    return subprocess.run(
        [sys.executable, "-c", _DYING, str(workshop.folder / "keys/release.pub"), str(until)]
        + [str(volume) for volume in media],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | known,
        capture_output=True,
        text=True,
    )


def test_an_import_that_is_killed_is_gone_on_with(
    backend: Backend, workshop: Workshop, media: list[Path]
) -> None:
    store = opened(backend)
    for until in (5 * MIB, TOTAL * 3 // 4, 5 * MIB):
        assert importing(backend, workshop, media, until).returncode == -signal.SIGKILL
        assert store.refs().bundles == ()
        for blob in store.blobs():
            assert digests.of(store.read(blob.digest, 2**30)) == blob.digest
    done = importing(backend, workshop, media)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < TOTAL // 2
    assert served(store) == under("t", CONTENT)
    with store.maintain() as upkeep:
        assert list(upkeep.leftovers()) == []


def test_imports_that_start_together(
    backend: Backend, workshop: Workshop, media: list[Path]
) -> None:
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(importing(backend, workshop, media)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 in [done.returncode for done in results]
    for done in results:
        assert done.returncode == 0 or "StoreBusy" in done.stderr, done.stderr
    assert served(opened(backend)) == under("t", CONTENT)
