"""/v1/artifacts over real sockets: content, ranges, conditions, and requests that mean harm."""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from bundles.progress import SILENT
from bundles.store import gc
from goosed_daemon.web.content import overlaps
from goosed_daemon.web.ranges import Span
from tests.daemon.content import make_store
from tests.daemon.web_site import FILES, Lab

BASE = "/v1/artifacts/site-base/"
SMALL = "rhel9/images/pxeboot/vmlinuz"
LARGE = "rhel9/images/pxeboot/initrd.img"
PARTED = "parted.iso"


def whole(path: str) -> bytes:
    content = FILES[path]
    return content if isinstance(content, bytes) else b"".join(content)


def etag(path: str) -> str:
    return f'"sha256:{hashlib.sha256(whole(path)).hexdigest()}"'


@pytest.mark.parametrize("path", [SMALL, LARGE, PARTED, "rhel9/empty"])
async def test_content_is_served_whole(lab: Lab, path: str) -> None:
    for prefix in (BASE, "/v1/artifacts/site-base@1.0/"):
        response = await lab.get(prefix + path)
        assert (response.status, await response.read()) == (200, whole(path))
        assert response.headers["ETag"] == etag(path)
        assert response.headers["Content-Length"] == str(len(whole(path)))
        assert response.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("path", [SMALL, LARGE, PARTED, "rhel9/empty"])
async def test_head_is_get_without_the_body(lab: Lab, path: str) -> None:
    get, head = await lab.get(BASE + path), await lab.get(BASE + path, "HEAD")
    assert await head.read() == b""
    vary = {"Date", "X-Request-ID"}
    assert {k: v for k, v in get.headers.items() if k not in vary} == {
        k: v for k, v in head.headers.items() if k not in vary
    }


@pytest.mark.parametrize(
    ("path", "spec"),
    [
        *product([SMALL, LARGE, PARTED], ["0-0", "5-", "-7", "10-99999999", "-99999999"]),
        *product([LARGE, PARTED], ["99990-100009", "199999-200000", "100000-"]),
    ],
)
async def test_a_range_is_that_slice(lab: Lab, path: str, spec: str) -> None:
    content = whole(path)
    first, _, last = spec.partition("-")
    start = int(first) if first else max(0, len(content) - int(last))
    end = min(int(last), len(content) - 1) if first and last else len(content) - 1
    response = await lab.get(BASE + path, Range=f"bytes={spec}")
    assert response.status == 206
    assert await response.read() == content[start : end + 1]
    assert response.headers["Content-Range"] == f"bytes {start}-{end}/{len(content)}"
    assert response.headers["ETag"] == etag(path)


@pytest.mark.parametrize("path", [SMALL, LARGE, PARTED, "rhel9/empty"])
async def test_a_range_outside_of_the_content_is_416(lab: Lab, path: str) -> None:
    response = await lab.get(BASE + path, Range=f"bytes={len(whole(path))}-")
    assert response.status == 416
    assert response.headers["Content-Range"] == f"bytes */{len(whole(path))}"


async def test_several_ranges_get_the_whole(lab: Lab) -> None:
    response = await lab.get(BASE + LARGE, Range="bytes=0-1,5-6")
    assert (response.status, await response.read()) == (200, whole(LARGE))


async def test_a_range_on_head_is_ignored(lab: Lab) -> None:
    """RFC 9110, section 14.2: range handling is defined for GET only."""
    response = await lab.get(BASE + LARGE, "HEAD", Range="bytes=0-1")
    assert response.status == 200 and "Content-Range" not in response.headers
    assert response.headers["Content-Length"] == str(len(whole(LARGE)))


async def test_a_resumed_download_continues_only_the_same_content(lab: Lab) -> None:
    same = await lab.get(BASE + LARGE, Range="bytes=5-", If_Range=etag(LARGE))
    assert (same.status, await same.read()) == (206, whole(LARGE)[5:])
    other = await lab.get(BASE + LARGE, Range="bytes=5-", If_Range='"sha256:other"')
    assert (other.status, await other.read()) == (200, whole(LARGE))
    date = await lab.get(BASE + LARGE, Range="bytes=5-", If_Range="Tue, 24 Nov 2026 12:00:00 GMT")
    assert date.status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_the_client_has_is_not_sent_again(lab: Lab, method: str) -> None:
    for tag in (etag(LARGE), "W/" + etag(LARGE), "*", f'"x", {etag(LARGE)}'):
        response = await lab.get(BASE + LARGE, method, If_None_Match=tag)
        assert (response.status, await response.read()) == (304, b"")
        assert response.headers["ETag"] == etag(LARGE)
    assert (await lab.get(BASE + LARGE, method, If_None_Match='"x"')).status == 200


async def test_a_precondition_on_other_content_fails(lab: Lab) -> None:
    assert (await lab.get(BASE + LARGE, If_Match='"x"')).status == 412
    assert (await lab.get(BASE + LARGE, If_Match="W/" + etag(LARGE))).status == 412
    assert (await lab.get(BASE + LARGE, If_Match=etag(LARGE))).status == 200


async def test_a_new_import_is_served_at_once(lab: Lab) -> None:
    path = "rhel9/.treeinfo"
    assert await (await lab.get(BASE + path)).read() == whole(path)
    make_store(lab.home.store, {path: b"new"}, version="2.0", sequence=2)
    assert await (await lab.get(BASE + path)).read() == b"new"
    assert await (await lab.get("/v1/artifacts/site-base@1.0/" + path)).read() == whole(path)
    assert (await lab.get(BASE + LARGE)).status == 404


async def test_small_content_in_memory_costs_no_thread_until_the_next_import(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = 0
    submit = lab.deps.store_threads.submit

    def counting(*arguments: Any) -> Any:
        nonlocal submitted
        submitted += 1
        return submit(*arguments)

    monkeypatch.setattr(lab.deps.store_threads, "submit", counting)
    counts = []
    for version in ("1.0", "1.0", "2.0", "2.0"):
        if version == "2.0" and len(counts) == 2:
            make_store(lab.home.store, {SMALL: b"new"}, version=version, sequence=2)
        await lab.get(BASE + SMALL)
        counts.append(submitted)
    assert counts == [2, 2, 4, 4]


async def test_names_of_every_kind_are_found_by_their_encoding(lab: Lab) -> None:
    response = await lab.get(BASE + "odd/na%20me+%2541%26%C3%BC")
    assert await response.read() == b"odd"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("site-bas/x", "did you mean site-base?"),
        ("other/x", "there is: site-base"),
        ("site-base@1.1/x", "did you mean 1.0?"),
        ("site-base/rhel9/images/pxeboot/vmlinux", "rhel9/images/pxeboot/vmlinuz?"),
        ("site-base/rhel8/images/pxeboot/vmlinuz", "rhel9/"),
        ("site-base/rhel9/images", "rhel9/images/"),
    ],
)
async def test_what_is_missing_is_named_with_what_is_near(lab: Lab, path: str, hint: str) -> None:
    response = await lab.get("/v1/artifacts/" + path)
    error = (await response.json())["error"]
    assert (response.status, error["code"]) == (404, "artifact-missing")
    assert hint in error["hint"]


TRAVERSALS = [
    "../state.db",
    "..%2f..%2fstate.db",
    "%2e%2e/%2e%2e/state.db",
    "%2e%2e%2fstate.db",
    "..%5c..%5cstate.db",
    "%252e%252e%252fstate.db",
    "....//state.db",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "rhel9/../rhel9/../../state.db",
    "rhel9/images/pxeboot/vmlinuz/../../../../../../../../../../etc/passwd",
    "rhel9/./images/pxeboot/vmlinuz",
    "rhel9//images/pxeboot/vmlinuz",
    "rhel9/images/pxeboot/vmlinuz/",
    "rhel9/images/pxeboot/vmlinuz%00.txt",
    "%c0%ae%c0%ae/state.db",
    "%ff%fe",
    "blobs/sha256/" + hashlib.sha256(b"").hexdigest(),
    "index.json",
]


async def raw(lab: Lab, request: bytes) -> bytes:
    """Sends bytes as they are; gives all that comes back."""
    host, _, port = lab.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("path", TRAVERSALS)
async def test_path_traversal_finds_nothing(lab: Lab, path: str) -> None:
    answer = await raw(
        lab,
        f"GET {BASE}{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode(),
    )
    assert answer.startswith(b"HTTP/1.1 404 "), answer
    assert b"SQLite" not in answer and b"root:" not in answer


async def test_an_encoded_slash_is_only_another_spelling(lab: Lab) -> None:
    response = await lab.get(BASE + "rhel9%2Fimages%2Fpxeboot%2Fvmlinuz")
    assert await response.read() == whole(SMALL)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET http://elsewhere/v1/artifacts/site-base/rhel9/.treeinfo HTTP/1.1", b"200"),
        ("GET //v1/artifacts/site-base/rhel9/.treeinfo HTTP/1.1", b"404"),
        ("DELETE /v1/artifacts/site-base/rhel9/.treeinfo HTTP/1.1", b"405"),
        ("POST /v1/artifacts/site-base/rhel9/.treeinfo HTTP/1.1", b"405"),
        ("OPTIONS * HTTP/1.1", b"404"),
        ("CONNECT elsewhere:443 HTTP/1.1", b"404"),
        ("GET /v1/artifacts/site-base/rhel9/.treeinfo HTTP/9.9", b"400"),
        ("GET  HTTP/1.1", b"400"),
    ],
)
async def test_odd_request_lines(lab: Lab, request_line: str, status: bytes) -> None:
    answer = await raw(lab, f"{request_line}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b" ", 2)[1] == status, answer


@pytest.mark.parametrize(
    "header",
    [b"Range: bytes=0-1\r\nRange: bytes=5-6", b"Range: bytes=0-1\r\n , 5-6", b"X: " + b"a" * 20000],
)
async def test_header_smuggling_gets_no_mixed_answer(lab: Lab, header: bytes) -> None:
    request = b"GET " + (BASE + SMALL).encode() + b" HTTP/1.1\r\nHost: x\r\n" + header
    answer = await raw(lab, request + b"\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] in (b"200", b"206", b"400")
    if b" 206 " in head:
        assert body == whole(SMALL)[0:2] and b"bytes 0-1/" in head


async def test_expectation_that_nobody_meets_is_answered(lab: Lab) -> None:
    request = f"GET {BASE}{SMALL} HTTP/1.1\r\nHost: x\r\nExpect: nonsense\r\n"
    answer = await raw(lab, (request + "Connection: close\r\n\r\n").encode())
    assert answer.startswith(b"HTTP/1.1 417 ")
    assert b"X-Request-ID: " in answer


async def test_two_requests_on_one_connection_stay_apart(lab: Lab) -> None:
    one = f"GET {BASE}{LARGE} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-99999\r\n\r\n"
    two = f"GET {BASE}{SMALL} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await raw(lab, (one + two).encode())
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b" 206 " in head
    assert rest[:100_000] == whole(LARGE)[:100_000]
    assert rest[100_000:].startswith(b"HTTP/1.1 200 ")
    assert rest.endswith(whole(SMALL))


def blob(lab: Lab, content: bytes) -> Path:
    """Where the store keeps `content`."""
    path = lab.deps.catalog.store.path("sha256:" + hashlib.sha256(content).hexdigest())
    assert path is not None
    return path


@pytest.mark.parametrize("name", [SMALL, LARGE, "parted.iso"])
async def test_a_blob_lost_from_the_store_is_a_503_that_says_so(lab: Lab, name: str) -> None:
    content = FILES[name]
    blob(lab, content if isinstance(content, bytes) else content[1]).unlink()
    assert (await lab.get(BASE + name, "HEAD")).status == 503
    response = await lab.get(BASE + name)
    assert response.status == 503
    assert (await response.json())["error"]["code"] == "blob-missing"


@pytest.mark.parametrize("name", [SMALL, LARGE, "parted.iso"])
@pytest.mark.parametrize("change", [-1, 1])
async def test_a_blob_of_another_length_is_a_503_and_no_good_download(
    lab: Lab, name: str, change: int
) -> None:
    content = FILES[name]
    path = blob(lab, content if isinstance(content, bytes) else content[1])
    os.truncate(path, path.stat().st_size + change)
    for asked in ({}, {"Range": "bytes=99999-100001"} if name != SMALL else {}):
        response = await lab.get(BASE + name, **asked)
        assert response.status == 503, await response.read()
        assert (await response.json())["error"]["code"] == "blob-damaged"
    assert (await lab.get(BASE + name, "HEAD")).status == 503


async def test_what_is_served_from_memory_is_there_for_head_too(lab: Lab) -> None:
    assert (await lab.get(BASE + SMALL)).status == 200
    blob(lab, whole(SMALL)).unlink()
    assert (await lab.get(BASE + SMALL, "HEAD")).status == 200
    assert (await lab.get(BASE + SMALL)).status == 200


async def test_a_blob_cut_short_while_it_is_sent_ends_the_connection(lab: Lab) -> None:
    content = bytes(64 << 20)  # more than the buffers between server and client hold
    make_store(lab.home.store, {"big": content}, name="big")
    host, _, port = lab.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1000)
    writer.write(b"GET /v1/artifacts/big/big HTTP/1.1\r\nHost: x\r\n\r\n")
    received = len(await reader.readuntil(b"\r\n\r\n"))
    os.truncate(blob(lab, content), 1000)
    async with asyncio.timeout(20):
        with suppress(ConnectionResetError):
            while data := await reader.read(1 << 20):
                received += len(data)
    writer.close()
    assert received < len(content)


async def test_bytes_are_counted_by_where_they_came_from(lab: Lab) -> None:
    for _ in range(3):
        await lab.get(BASE + SMALL)
    await lab.get(BASE + LARGE)
    counted = 'goosed_store_bytes_total{backend="local",operation="%s"}'
    assert await lab.metric(counted % "read") == len(whole(SMALL))
    assert await lab.metric(counted % "cached") == 2 * len(whole(SMALL))
    assert await lab.metric(counted % "send") == len(whole(LARGE))


def test_spans_are_cut_along_the_parts() -> None:
    from bundles.site.catalog import Part, StoredFile

    a, b, c = Part("a", 10), Part("b", 10), Part("c", 5)
    file = StoredFile("f", 25, 0o644, "w", (a, b, c))
    assert overlaps(file, Span(0, 25)) == [(a, 0, 10), (b, 0, 10), (c, 0, 5)]
    assert overlaps(file, Span(9, 2)) == [(a, 9, 1), (b, 0, 1)]
    assert overlaps(file, Span(10, 10)) == [(b, 0, 10)]
    assert overlaps(file, Span(24, 1)) == [(c, 4, 1)]
    assert overlaps(file, Span(0, 0)) == []


async def test_a_version_dropped_between_look_up_and_bytes_is_no_damage(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clean-up comes when the path is looked up and the blob is not open yet."""
    store = lab.deps.catalog.store
    make_store(lab.home.store, {"other": b"other"}, version="2.0", sequence=2)
    really = store.open

    def late(digest: str) -> BinaryIO:
        monkeypatch.setattr(store, "open", really)
        with store.maintain() as held:
            cleanup = gc.plan(store, held, 1, False)
            gc.drop(cleanup, held)
            gc.remove(cleanup, held, SILENT)
        return really(digest)

    monkeypatch.setattr(store, "open", late)
    response = await lab.get(f"/v1/artifacts/site-base@1.0/{LARGE}")
    assert response.status == 404
    assert "no version '1.0' here" in await response.text()


async def test_who_has_a_file_open_reads_it_to_its_end_through_a_clean_up(lab: Lab) -> None:
    store = lab.deps.catalog.store
    make_store(lab.home.store, {"other": b"other"}, version="2.0", sequence=2)
    (part,) = next(f for f in lab.deps.catalog.list("site-base", "1.0") if f.path == LARGE).parts
    with store.open(part.digest) as file, store.maintain() as held:
        cleanup = gc.plan(store, held, 1, False)
        gc.drop(cleanup, held)
        gc.remove(cleanup, held, SILENT)
        assert not store.has(part.digest)
        assert file.read() == whole(LARGE)
