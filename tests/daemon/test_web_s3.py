"""A daemon whose content is in S3: what holds for a folder holds here too, over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import resource
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from yarl import URL

from bundles.store import S3Address
from bundles.store.s3.retry import Retry
from bundles.store.s3.store import S3Store
from tests import s3_server
from tests.bundles.store_backends import blob_name
from tests.daemon.content import make_store
from tests.daemon.test_web_artifacts import (  # noqa: F401 - they run here once more
    BASE,
    LARGE,
    PARTED,
    SMALL,
    etag,
    test_a_precondition_on_other_content_fails,
    test_a_range_is_that_slice,
    test_a_range_on_head_is_ignored,
    test_a_range_outside_of_the_content_is_416,
    test_a_resumed_download_continues_only_the_same_content,
    test_content_is_served_whole,
    test_head_is_get_without_the_body,
    test_names_of_every_kind_are_found_by_their_encoding,
    test_path_traversal_finds_nothing,
    test_several_ranges_get_the_whole,
    test_two_requests_on_one_connection_stay_apart,
    test_what_is_missing_is_named_with_what_is_near,
    test_what_the_client_has_is_not_sent_again,
    whole,
)
from tests.daemon.web_site import FILES, Lab, running
from tests.s3_server import S3Server, environment

MIB = 1024 * 1024


@pytest.fixture
def address(s3: Callable[[], S3Server]) -> S3Address:
    return s3().bucket()


@pytest.fixture
async def lab(tmp_path: Path, address: S3Address) -> AsyncIterator[Lab]:
    async with running(tmp_path, **environment(address)) as lab:
        yield lab


def test_the_daemon_needs_no_folder_for_content(lab: Lab) -> None:
    assert not lab.home.store.exists()


async def test_a_machine_gets_its_script(lab: Lab) -> None:
    lab.arm()
    assert "kernel http" in await lab.script()


async def test_a_new_import_is_served_within_a_second(lab: Lab, address: S3Address) -> None:
    path = "rhel9/.treeinfo"
    assert await (await lab.get(BASE + path)).read() == whole(path)
    make_store(address, {path: b"new"}, version="2.0", sequence=2)
    await asyncio.sleep(1.1)
    assert await (await lab.get(BASE + path)).read() == b"new"
    assert await (await lab.get("/v1/artifacts/site-base@1.0/" + path)).read() == whole(path)


@pytest.mark.parametrize("name", [SMALL, LARGE, PARTED])
async def test_a_blob_lost_from_the_bucket_is_a_503_that_says_so(
    lab: Lab, address: S3Address, s3: Callable[[], S3Server], name: str
) -> None:
    content = FILES[name]
    data = content if isinstance(content, bytes) else content[1]
    key = blob_name("sha256:" + hashlib.sha256(data).hexdigest())
    s3().client().remove_object(address.bucket, key)
    assert (await lab.get(BASE + name, "HEAD")).status == 503
    response = await lab.get(BASE + name)
    assert response.status == 503
    assert (await response.json())["error"]["code"] == "blob-missing"


async def test_while_the_service_is_away_the_daemon_says_so_and_answers_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundles.store.s3.store._READING", Retry(patience=0.5))
    monkeypatch.setattr(S3Store.__init__, "__defaults__", (Retry(patience=0.5),) * 2)
    with s3_server.running(tmp_path / "s3") as server:
        async with running(tmp_path / "home", **environment(server.bucket())) as lab:
            assert (await lab.get("/readyz")).status == 200
            server.kill()
            await asyncio.sleep(1)
            response = await lab.get(BASE + LARGE)
            assert response.status == 503
            assert (await response.json())["error"]["code"] == "store-unreachable"
            assert s3_server.SECRET not in await response.text()
            assert (await lab.get("/readyz")).status == 503
            assert (await lab.get("/healthz")).status == 200
            server.start()
            await asyncio.sleep(1)
            assert (await lab.get("/readyz")).status == 200
            assert await (await lab.get(BASE + LARGE)).read() == whole(LARGE)


async def test_many_slow_downloads_take_little_memory_and_hold_nobody_up(
    lab: Lab, address: S3Address
) -> None:
    make_store(address, {"big": bytes(64 * MIB)}, name="big")
    await asyncio.sleep(1.1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    host, _, port = lab.url.removeprefix("http://").rpartition(":")
    writers = []
    for _ in range(20):
        reader, writer = await asyncio.open_connection(host, int(port), limit=1000)
        writer.write(b"GET /v1/artifacts/big/big HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writers.append(writer)
    await asyncio.sleep(0.5)
    async with asyncio.timeout(5):
        assert (await lab.get("/healthz")).status == 200
        assert await (await lab.get(BASE + LARGE)).read() == whole(LARGE)
    for writer in writers:
        writer.close()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 20 * 4 * MIB, f"{grown} bytes for 20 downloads"


async def test_a_large_file_can_be_left_to_the_service(tmp_path: Path, address: S3Address) -> None:
    settings = environment(address) | {"GOOSED_ARTIFACT_READS": "redirected"}
    async with running(tmp_path, **settings) as lab:
        url = URL(lab.url + BASE + LARGE)
        async with lab.client.get(url, allow_redirects=False) as response:
            assert response.status == 307
            assert response.headers["Cache-Control"] == "no-store"
            there = response.headers["Location"]
        assert urlsplit(there).netloc == address.endpoint
        assert s3_server.SECRET not in there
        # Range survives the redirect; nobody else's object is opened by the same signature.
        async with lab.client.get(url, headers={"Range": "bytes=5-9"}) as response:
            assert (response.status, await response.read()) == (206, whole(LARGE)[5:10])
        other = there.replace(urlsplit(there).path, f"/{address.bucket}/index.json")
        async with lab.client.get(URL(other, encoded=True)) as response:
            assert response.status == 403
        # What the daemon can answer itself, it does.
        for path, method in ((SMALL, "GET"), (PARTED, "GET"), (LARGE, "HEAD")):
            async with lab.client.request(
                method, lab.url + BASE + path, allow_redirects=False
            ) as response:
                assert response.status == 200
        same = {"If-None-Match": etag(LARGE)}
        async with lab.client.get(url, allow_redirects=False, headers=same) as response:
            assert response.status == 304
