"""Large blobs in parts, and what is there already."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Any

import pytest

from bundles import digest as digests
from bundles.store import S3Address, open_store
from bundles.store.errors import StoreError
from bundles.store.s3.multipart import PART, Multipart
from bundles.store.s3.present import Present
from bundles.store.s3.retry import Retry
from bundles.store.s3.store import S3Store
from bundles.store.s3.wire import Wire
from tests.bundles.content import noise
from tests.bundles.store_backends import blob_name
from tests.bundles.test_store_conformance import ROOT, put

MIB = 1024 * 1024
SHORT = Retry(patience=1)


def spied(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None, dict[str, str]]]:
    """The requests that are made from now on: method, key, query."""
    made: list[tuple[str, str | None, dict[str, str]]] = []
    send = Wire.send

    def spy(self: Wire, method: str, key: str | None, *args: Any, **more: Any) -> Any:
        made.append((method, key, dict(more.get("query") or {})))
        return send(self, method, key, *args, **more)

    monkeypatch.setattr(Wire, "send", spy)
    return made


def begin_large(address: S3Address, data: bytes, digest: str, root: str = ROOT) -> None:
    """Brings the first parts of a large blob, and breaks off."""

    def broken() -> None:
        with S3Store(address).ingest(root) as ingest, ingest.create(digest) as blob:
            blob.write(data)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        broken()


def test_parts_that_are_there_are_not_sent_again(
    address: S3Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = noise("parts", 5 * PART + 1000)
    digest = digests.of(data)
    begin_large(address, data[: 3 * PART + 5], digest)
    requests = spied(monkeypatch)
    with S3Store(address).ingest(ROOT) as ingest, ingest.create(digest) as blob:
        blob.write(data)
    sent = sorted(int(query["partNumber"]) for _, _, query in requests if "partNumber" in query)
    assert sent == [4, 5, 6]
    with S3Store(address).open(digest) as file:
        assert file.read() == data
    assert Multipart(Wire(address, SHORT)).open(blob_name(digest)) == []


def test_parts_with_other_bytes_are_sent_again(address: S3Address) -> None:
    data = noise("parts", 4 * PART)
    digest = digests.of(data)
    begin_large(address, data[:PART] + noise("other", 2 * PART + 5), digest)
    with S3Store(address).ingest(ROOT) as ingest, ingest.create(digest) as blob:
        blob.write(data)
    with S3Store(address).open(digest) as file:
        assert file.read() == data


def test_of_several_uploads_of_a_blob_one_is_gone_on_with(address: S3Address, wire: Wire) -> None:
    data = noise("parts", 3 * PART)
    digest = digests.of(data)
    key, multipart = blob_name(digest), Multipart(wire)
    for _ in range(3):
        multipart.begin(key)
    with S3Store(address).ingest(ROOT) as ingest, ingest.create(digest) as blob:
        blob.write(data[: PART + 1])
        assert len(multipart.open(key)) == 1
        blob.write(data[PART + 1 :])
    assert S3Store(address).size(digest) == len(data)
    assert multipart.open(key) == []


def test_an_upload_completed_by_a_lost_answer_is_done(wire: Wire) -> None:
    multipart = Multipart(wire)
    upload = multipart.begin("x")
    etag = multipart.send("x", upload, 1, b"data")
    multipart.complete("x", upload, {1: etag}, 4)
    multipart.complete("x", upload, {1: etag}, 4)
    wire.put("other", b"other bytes")
    for key in ("gone", "other"):
        with pytest.raises(StoreError, match="could not be put together"):
            multipart.complete(key, upload, {1: etag}, 4)


def test_a_part_with_another_etag_is_not_put_together(wire: Wire) -> None:
    multipart = Multipart(wire)
    upload = multipart.begin("x")
    multipart.send("x", upload, 1, b"data")
    with pytest.raises(StoreError):
        multipart.complete("x", upload, {1: "0" * 32}, 4)
    assert wire.head("x") is None


def test_many_parts_are_all_found(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    multipart = Multipart(wire)
    monkeypatch.setattr("bundles.store.s3.multipart._PAGE", 3)
    upload = multipart.begin("parts")
    for number in range(1, 8):
        multipart.send("parts", upload, number, b"%d" % number)
    assert sorted(multipart.parts("parts", upload)) == list(range(1, 8))


def test_uploads_that_two_imports_began_are_discarded_with_the_last(address: S3Address) -> None:
    data = noise("shared", 2 * PART)
    digest, other = digests.of(data), digests.of(b"another root")
    begin_large(address, data[: PART + 5], digest)
    begin_large(address, data[: PART + 5], digest, other)
    with open_store(address).maintain() as upkeep:
        first, second = upkeep.leftovers()
        assert first.size == second.size == PART
        upkeep.discard(first)
        (left,) = upkeep.leftovers()
        assert left.size == PART
        upkeep.discard(left)
        assert list(upkeep.leftovers()) == []
    assert Multipart(Wire(address, SHORT)).open(blob_name(digest)) == []


def test_the_server_refuses_bytes_that_are_not_the_digests(address: S3Address) -> None:
    with S3Store(address, SHORT, SHORT).ingest(ROOT) as ingest:
        ingest.put(digests.of(b"these"), b"others")
        with pytest.raises(StoreError, match="BadDigest"):
            ingest.checkpoint()
    assert not S3Store(address).has(digests.of(b"these"))


def test_memory_is_bounded_however_slow_the_service(
    address: S3Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, most = [0], [0]
    lock = threading.Lock()
    put = Wire.put

    def slow(self: Wire, key: str, data: bytes, *args: Any) -> str:
        with lock:
            held[0] += len(data)
            most[0] = max(most[0], held[0])
        time.sleep(0.05)
        with lock:
            held[0] -= len(data)
        return put(self, key, b"", *args[1:]) if len(data) > MIB else put(self, key, data, *args)

    monkeypatch.setattr(Wire, "put", slow)
    with S3Store(address).ingest(ROOT) as ingest:
        for number in range(40):
            ingest.put(digests.of(b"%d" % number), bytes(12 * MIB))
    assert most[0] <= 64 * MIB


def test_no_more_is_listed_than_is_asked_about(
    address: S3Address, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = [b"%d" % n for n in range(300)]
    put(S3Store(address), *blobs)
    present = Present(wire)
    listed: list[str] = []
    pages = Wire.list

    def spy(self: Wire, prefix: str) -> Any:
        listed.append(prefix)
        return pages(self, prefix)

    monkeypatch.setattr(Wire, "list", spy)
    assert present.size(digests.of(blobs[7])) == 1
    assert present.size(digests.of(blobs[7])) == 1
    assert present.size(digests.of(b"gone")) is None
    assert len(listed) == 2
    assert all(len(prefix) == len("blobs/sha256/") + 2 for prefix in listed)
    assert all(present.size(digests.of(data)) == len(data) for data in blobs)
    assert listed.count("blobs/sha256/") == 1
    assert len(listed) == 17


def test_a_long_read_takes_few_requests_and_a_short_one_little(
    address: S3Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = noise("long", 64 * MIB)
    (digest,) = put(S3Store(address), data)
    asked: list[int] = []
    stream = Wire.stream

    def spy(self: Wire, key: str, start: int, count: int) -> Any:
        asked.append(count)
        return stream(self, key, start, count)

    monkeypatch.setattr(Wire, "stream", spy)
    with S3Store(address).open(digest) as file:
        assert file.read(100) == data[:100]
        assert sum(asked) <= MIB
        file.seek(0)
        asked.clear()
        assert hashlib.sha256(file.read()).hexdigest() == digests.hex_of(digest)
    assert len(asked) < 12
