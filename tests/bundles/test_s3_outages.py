"""Retries, and a service that goes and comes back."""

from __future__ import annotations

import hashlib
import threading
import time

import pytest

from bundles import digest as digests
from bundles.store import Refs, S3Address, open_store
from bundles.store.refs import with_bundle
from bundles.store.s3 import errors
from bundles.store.s3.retry import Retry
from bundles.store.s3.store import S3Store
from tests.bundles.content import noise
from tests.bundles.passing_time import Clock
from tests.bundles.test_store_conformance import REF, ROOT, put
from tests.s3_server import S3Server

MIB = 1024 * 1024
SHORT = Retry(patience=1)


def test_pauses_double_up_to_the_most_and_end_with_patience() -> None:
    clock = Clock()
    retry = Retry(60, first=1, most=8, clock=clock, sleep=clock.sleep, random=lambda: 1.0)

    def fail() -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        retry.run(fail, lambda error: True, lambda: 60)
    assert clock.slept == [1, 2, 4, 8, 8, 8, 8, 8, 8]
    assert clock.now <= 60


def test_pauses_are_shortened_at_random() -> None:
    clock = Clock()
    drawn = iter([0.5, 0.25, 0.0])
    retry = Retry(60, first=1, clock=clock, sleep=clock.sleep, random=lambda: next(drawn))
    tries: list[int] = []

    def fail_thrice() -> int:
        tries.append(1)
        if len(tries) < 4:
            raise OSError
        return 7

    assert retry.run(fail_thrice, lambda error: True, lambda: 60) == 7
    assert clock.slept == [0.5, 0.5, 0.0]


def test_what_will_not_pass_is_not_tried_again() -> None:
    clock = Clock()
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise KeyError

    with pytest.raises(KeyError):
        Retry(60, clock=clock, sleep=clock.sleep).run(
            fail, lambda error: isinstance(error, OSError), lambda: 60
        )
    assert (len(tries), clock.slept) == (1, [])


def test_a_service_killed_during_an_import_is_waited_for(own: S3Server) -> None:
    store = S3Store(own.bucket(), SHORT, Retry(patience=30))
    blobs = [noise(f"w{n}", 20_000) for n in range(300)]
    large = noise("large", 60 * MIB)
    with store.ingest(ROOT) as ingest:
        ingest.put(digests.of(blobs[0]), blobs[0])
        back = threading.Timer(1.5, own.start)
        own.kill()
        back.start()
        for data in blobs[1:]:
            ingest.put(digests.of(data), data)
        with ingest.create(digests.of(large)) as blob:
            blob.write(large)
        ingest.publish(lambda refs: with_bundle(refs, REF))
    back.join()
    assert all(store.read(digests.of(data), 2**20) == data for data in blobs)
    with store.open(digests.of(large)) as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digests.hex_of(digests.of(large))


def test_a_service_that_stays_away_ends_the_import_which_goes_on_later(own: S3Server) -> None:
    address = own.bucket()
    blobs = [noise(f"w{n}", 20_000) for n in range(200)]

    def bring(count: int) -> None:
        with S3Store(address, SHORT, SHORT).ingest(ROOT) as ingest:
            for number, data in enumerate(blobs):
                if number == count:
                    ingest.checkpoint()
                    own.kill()
                if not ingest.has(digests.of(data), len(data)):
                    ingest.put(digests.of(data), data)
            ingest.publish(lambda refs: with_bundle(refs, REF))

    with pytest.raises(errors.StoreUnreachable) as caught:
        bring(100)
    assert "runs" in caught.value.hint
    own.start()
    store = S3Store(address)
    assert store.refs() == Refs()
    assert len(list(store.blobs())) == 100
    (left,) = _leftovers(address)
    assert left == ROOT
    bring(1000)
    assert store.refs() == with_bundle(Refs(), REF)
    assert len(list(store.blobs())) == 200
    assert _leftovers(address) == []


def _leftovers(address: S3Address) -> list[str]:
    with open_store(address).maintain() as upkeep:
        return [left.root for left in upkeep.leftovers()]


def test_a_stream_goes_on_where_its_connection_broke(own: S3Server) -> None:
    store = S3Store(own.bucket(), Retry(patience=20))
    data = noise("stream", 30 * MIB)
    (digest,) = put(store, data)
    with store.open(digest) as file:
        assert file.read(10 * MIB) == data[: 10 * MIB]
        own.kill()
        own.start()
        assert file.read() == data[10 * MIB :]


def test_while_the_service_is_down_looks_fail_soon(own: S3Server) -> None:
    store = S3Store(own.bucket(), SHORT)
    put(store, b"x")
    assert store.refs_token()
    own.kill()
    time.sleep(1)
    with pytest.raises(errors.StoreUnreachable):
        store.refs_token()
    began = time.monotonic()
    with pytest.raises(errors.StoreUnreachable):
        store.refs_token()
    assert time.monotonic() - began < 0.2
    own.start()
    time.sleep(1)
    assert store.refs_token()
