"""The lock of an S3 store, and servers that ignore conditions."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from minio import Minio

from bundles.store import Refs, S3Address
from bundles.store.errors import StoreBusy
from bundles.store.refs import with_bundle
from bundles.store.s3.lease import Lease
from bundles.store.s3.retry import Retry
from bundles.store.s3.store import S3Store
from bundles.store.s3.wire import Precondition, Wire
from tests.bundles.passing_time import Clock
from tests.bundles.test_store_conformance import REF, ROOT, put
from tests.s3_server import S3Server

MIB = 1024 * 1024
SHORT = Retry(patience=1)


def write_lock(client: Minio, address: S3Address, **said: object) -> None:
    data = json.dumps({"task": "an import", "host": "elsewhere", "nonce": "n", **said}).encode()
    client.put_object(address.bucket, "lock", io.BytesIO(data), len(data))


def test_a_lock_of_another_machine_is_told_and_kept(
    address: S3Address, wire: Wire, client: Minio
) -> None:
    write_lock(client, address, pid=77, term=60)
    with pytest.raises(StoreBusy, match="by an import, process 77 on elsewhere") as caught:
        Lease(wire, "a clean-up")
    assert "60 seconds" in caught.value.hint


def test_a_lock_that_was_not_renewed_is_taken(
    address: S3Address, wire: Wire, client: Minio
) -> None:
    write_lock(client, address, pid=77, term=1)
    with pytest.raises(StoreBusy):
        Lease(wire, "a clean-up")
    end = time.monotonic() + 10  # a server tells ages in whole seconds
    while True:
        try:
            with Lease(wire, "a clean-up"):
                return
        except StoreBusy:
            assert time.monotonic() < end
            time.sleep(0.5)


def test_a_lock_is_renewed_and_so_kept(address: S3Address, wire: Wire) -> None:
    with Lease(wire, "an import", term=1.5) as lease:
        for _ in range(10):
            time.sleep(0.5)
            lease.check()
            with pytest.raises(StoreBusy):
                Lease(wire, "a clean-up")


def test_whoever_lost_the_lock_publishes_and_removes_nothing(
    address: S3Address, client: Minio
) -> None:
    store = S3Store(address, SHORT, SHORT)
    (digest,) = put(store, b"x")
    with store.ingest(ROOT) as ingest:
        lose(ingest, address, client)
        with pytest.raises(StoreBusy, match="the lock was lost"):
            ingest.publish(lambda refs: Refs())
    client.remove_object(address.bucket, "lock")
    with store.maintain() as upkeep:
        lose(upkeep, address, client)
        for act in (
            lambda: upkeep.remove(digest),
            lambda: upkeep.quarantine(digest),
            lambda: upkeep.publish(lambda refs: Refs()),
            upkeep.settle,
        ):
            with pytest.raises(StoreBusy, match="the lock was lost"):
                act()
    assert store.refs() == with_bundle(Refs(), REF)
    assert store.has(digest)
    # Nor is the lock of its new holder removed.
    with client.get_object(address.bucket, "lock") as lock:
        assert b"elsewhere" in lock.read()


def lose(held: Any, address: S3Address, client: Minio) -> None:
    """Has another machine take the lock, and the holder find out."""
    write_lock(client, address, pid=1, term=60)
    lease = held._lease
    with pytest.raises(StoreBusy):
        lease._write({"If-Match": lease._etag})
    lease._lost = "another machine took it"


def test_a_holder_that_cannot_renew_counts_its_lock_as_lost(own: S3Server) -> None:
    clock = Clock()
    lease = Lease(Wire(own.bucket(), Retry(patience=0)), "an import", term=60, clock=clock)
    clock.now += 59
    lease.check()
    clock.now += 1
    with pytest.raises(StoreBusy, match="could not be renewed for 60 seconds"):
        lease.check()
    own.kill()
    lease.close()
    own.start()


def test_refs_that_another_switched_meanwhile_are_judged_again(
    address: S3Address, client: Minio
) -> None:
    """Also whoever wrongly believes to hold the lock loses no other's refs."""
    store = S3Store(address)
    put(store, b"x")
    second = replace(REF, version="2.0", sequence=2)
    third = replace(REF, version="3.0", sequence=3)
    seen: list[Refs] = []

    def change(refs: Refs) -> Refs:
        if not seen:
            client.remove_object(address.bucket, "lock")
            with S3Store(address).ingest(ROOT) as other:
                other.publish(lambda refs: with_bundle(refs, second))
        seen.append(refs)
        return with_bundle(refs, third)

    with store.ingest(ROOT) as ingest:
        ingest.publish(change)
    assert len(seen) == 2
    assert {ref.version for ref in store.refs().bundles} == {"1.0", "2.0", "3.0"}


@pytest.fixture
def unconditional(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older server does: the headers come, and change nothing."""
    send = Wire.send

    def deaf(self: Wire, method: str, key: str | None, *args: Any, **more: Any) -> Any:
        dropped = ("If-Match", "If-None-Match")
        given = [
            {k: v for k, v in value.items() if k not in dropped}
            if isinstance(value, dict)
            else value
            for value in args
        ]
        return send(self, method, key, *given, **more)

    monkeypatch.setattr(Wire, "send", deaf)


@pytest.mark.usefixtures("unconditional")
def test_without_conditions_the_lock_is_read_back(address: S3Address, wire: Wire) -> None:
    with Lease(wire, "an import", settle=0.1) as lease:
        assert not lease.conditional
        with pytest.raises(StoreBusy):
            Lease(wire, "a clean-up", settle=0.1)


@pytest.mark.usefixtures("unconditional")
def test_without_conditions_of_two_that_start_together_one_gives_way(
    address: S3Address, wire: Wire, client: Minio
) -> None:
    def another_writes(seconds: float) -> None:
        write_lock(client, address, pid=1, term=60)

    with pytest.raises(StoreBusy, match="on elsewhere"):
        Lease(wire, "an import", sleep=another_writes)


def test_conditions_are_found_out(address: S3Address, wire: Wire) -> None:
    with Lease(wire, "an import") as lease:
        assert lease.conditional


def test_conditions_hold(wire: Wire) -> None:
    etag = wire.put("x", b"1", {"If-None-Match": "*"})
    with pytest.raises(Precondition):
        wire.put("x", b"2", {"If-None-Match": "*"})
    assert wire.put("x", b"2", {"If-Match": etag}) != etag
    with pytest.raises(Precondition):
        wire.put("x", b"3", {"If-Match": etag})
    with pytest.raises(Precondition):
        wire.put("gone", b"3", {"If-Match": etag})
