"""Remote inputs, from a real server that behaves in the ways real servers do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bundles import digest as digests
from bundles.making import recipe
from bundles.progress import SILENT
from bundles.sources import lock
from bundles.sources.url import DownloadFailed, Downloads, InputChanged
from bundles.store import open_store
from tests.bundles.content import noise, served, take
from tests.bundles.making import NOW, Workshop

DATA = noise("firmware", 3 * 1024 * 1024)
ETAG = '"v1"'


@dataclass
class Site:
    """What the server does with each request, and which it saw."""

    url: str = ""
    answers: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    seen: list[tuple[str | None, str | None]] = field(default_factory=list)  # Range, If-Range
    stop: Callable[[], None] = lambda: None


@pytest.fixture
def site() -> Iterator[Site]:
    """A server on a free port. It takes one answer after the other; the last one stays."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.seen.append((self.headers["Range"], self.headers["If-Range"]))
            self.close_connection = True
            answer = site.answers.pop(0) if len(site.answers) > 1 else site.answers[0]
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def stop() -> None:
        server.shutdown()
        thread.join()
        server.server_close()
        site.stop = lambda: None

    site.url = f"http://127.0.0.1:{server.server_port}/fw.bin"
    site.stop = stop
    yield site
    site.stop()


def whole(
    handler: BaseHTTPRequestHandler, data: bytes = DATA, etag: str | None = ETAG, sent: int = -1
) -> None:
    """200 with `data`, of which only `sent` bytes are sent before the connection ends."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    if etag:
        handler.send_header("ETag", etag)
    handler.end_headers()
    handler.wfile.write(data if sent < 0 else data[:sent])


def broken(sent: int, etag: str | None = ETAG) -> Callable[[BaseHTTPRequestHandler], None]:
    """As `whole`, but the connection ends early."""
    return lambda handler: whole(handler, etag=etag, sent=sent)


def ranged(handler: BaseHTTPRequestHandler) -> None:
    """206 as RFC 9110 has it (sections 14.2 and 13.1.5); 200 where the validator is another."""
    wanted = handler.headers["Range"]
    if wanted is None or handler.headers["If-Range"] != ETAG:
        return whole(handler)
    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
    return partial(handler, start)


def partial(handler: BaseHTTPRequestHandler, start: int) -> None:
    """206 with what follows `start`."""
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")
    handler.send_header("Content-Length", str(len(DATA) - start))
    handler.send_header("ETag", ETAG)
    handler.end_headers()
    handler.wfile.write(DATA[start:])


def chunked(ends: bool) -> Callable[[BaseHTTPRequestHandler], None]:
    """200 with all data in one chunk, and with or without the chunk that ends the body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("ETag", ETAG)
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(DATA), DATA) + (b"0\r\n\r\n" if ends else b""))

    return answer


def status(code: int) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer without content."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def downloads(tmp_path: Path, slept: list[float]) -> Downloads:
    return Downloads(tmp_path / "cache", slept.append)


def cached(tmp_path: Path) -> list[str]:
    """The names in the cache, temporary ones too."""
    return sorted(path.name for path in (tmp_path / "cache").iterdir())


def test_a_recipe_is_locked_built_and_served(
    site: Site, tmp_path: Path, downloads: Downloads
) -> None:
    site.answers = [whole]
    path = tmp_path / "base.yaml"
    path.write_text(
        "apiVersion: goose/v1\nkind: Bundle\nname: base\nversion: 1.0.0\naudience: any\n"
        f"contents:\n- url: {site.url}\n  as: firmware/fw.bin\n"
    )
    loaded = recipe.load(path)
    with pytest.raises(lock.NotLocked):
        recipe.expand(loaded, path, None, downloads, SILENT)
    lock.write(lock.path_for(path), recipe.make_lock(loaded, downloads, NOW, SILENT))
    pins = lock.read(lock.path_for(path))
    assert pins is not None
    assert pins.pins == (lock.Pin(site.url, digests.of(DATA), len(DATA)),)

    site.stop()  # the cache has what the lock asks for
    artifacts = recipe.expand(loaded, path, pins, downloads, SILENT)
    workshop = Workshop(tmp_path / "workshop")
    volumes = workshop.build(recipe.draft(loaded, pins, None), artifacts)
    assert take(workshop, tmp_path / "store", *volumes).statement.created == pins.created
    assert served(open_store(tmp_path / "store")) == {"firmware/fw.bin": (DATA, 0o644)}


def test_a_broken_download_goes_on_where_it_stopped(
    site: Site, tmp_path: Path, downloads: Downloads, slept: list[float]
) -> None:
    site.answers = [broken(1_000_000), ranged]
    assert downloads.pin(site.url, SILENT).digest == digests.of(DATA)
    assert site.seen == [(None, None), ("bytes=1000000-", ETAG)]
    assert slept == [1.0]
    assert cached(tmp_path) == [digests.of(DATA)[7:]]


def test_what_came_is_kept_while_a_server_is_busy(site: Site, downloads: Downloads) -> None:
    site.answers = [broken(1_000_000), status(503), ranged]
    assert downloads.pin(site.url, SILENT).digest == digests.of(DATA)
    assert [wanted for wanted, _ in site.seen] == [None, *["bytes=1000000-"] * 2]


def test_a_file_that_changed_meanwhile_begins_again(site: Site, downloads: Downloads) -> None:
    changed = noise("other", 2_000_000)
    site.answers = [broken(1_000_000), lambda handler: whole(handler, changed, '"v2"')]
    assert downloads.pin(site.url, SILENT).digest == digests.of(changed)


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_validator_it_begins_again(
    site: Site, downloads: Downloads, etag: str | None
) -> None:
    site.answers = [broken(1_000_000, etag), ranged]
    assert downloads.pin(site.url, SILENT).digest == digests.of(DATA)
    assert site.seen == [(None, None), (None, None)]


def test_a_server_without_ranges_sends_it_all_again(site: Site, downloads: Downloads) -> None:
    site.answers = [broken(1_000_000), whole]
    assert downloads.pin(site.url, SILENT).digest == digests.of(DATA)
    assert site.seen[1] == ("bytes=1000000-", ETAG)


def test_a_range_that_was_not_asked_for_is_not_taken(site: Site, downloads: Downloads) -> None:
    site.answers = [broken(1_000_000), lambda handler: partial(handler, 500_000), whole]
    assert downloads.pin(site.url, SILENT).digest == digests.of(DATA)
    assert len(site.seen) == 3


def test_a_range_out_of_nowhere_is_not_taken(site: Site, downloads: Downloads) -> None:
    site.answers = [lambda handler: partial(handler, 500_000), whole]
    assert downloads.pin(site.url, SILENT).digest == digests.of(DATA)


def test_a_body_that_lacks_only_its_end_is_fetched(site: Site, downloads: Downloads) -> None:
    """All bytes are there, but nothing said so; asking for the rest gives 416."""
    site.answers = [chunked(False), status(416), chunked(True)]
    assert downloads.pin(site.url, SILENT).digest == digests.of(DATA)
    assert [wanted for wanted, _ in site.seen] == [None, f"bytes={len(DATA)}-", None]


def test_a_body_shorter_than_its_length_is_never_taken(
    site: Site, tmp_path: Path, downloads: Downloads, slept: list[float]
) -> None:
    site.answers = [broken(len(DATA) - 1, None)]
    with pytest.raises(DownloadFailed, match="1 bytes early"):
        downloads.pin(site.url, SILENT)
    assert slept == [1.0, 2.0, 4.0, 8.0]
    assert cached(tmp_path) == []


@pytest.mark.parametrize("code", [500, 503, 429, 408])
def test_a_busy_server_is_asked_again(
    site: Site, downloads: Downloads, slept: list[float], code: int
) -> None:
    site.answers = [status(code), status(code), whole]
    assert downloads.pin(site.url, SILENT).digest == digests.of(DATA)
    assert slept == [1.0, 2.0]


@pytest.mark.parametrize("code", [404, 403, 410])
def test_a_missing_file_is_said_at_once(
    site: Site, tmp_path: Path, downloads: Downloads, code: int
) -> None:
    site.answers = [status(code)]
    with pytest.raises(DownloadFailed, match=f"{site.url}: {code} "):
        downloads.pin(site.url, SILENT)
    assert len(site.seen) == 1
    assert cached(tmp_path) == []


def test_changed_content_is_refused_with_both_digests(
    site: Site, tmp_path: Path, downloads: Downloads
) -> None:
    site.answers = [lambda handler: whole(handler, b"changed")]
    pinned = lock.Pin(site.url, digests.of(DATA), len(DATA))
    with pytest.raises(InputChanged) as refusal:
        downloads.expand(pinned, "fw.bin", SILENT)
    assert digests.of(DATA) in refusal.value.message
    assert digests.of(b"changed") in refusal.value.message
    assert refusal.value.code == "input-changed"
    with pytest.raises(InputChanged):
        downloads.expand(pinned, "fw.bin", SILENT)


def test_an_input_that_changed_between_two_locks_is_named() -> None:
    same, old, new, other = (
        lock.Pin(url, digests.of(data), len(data))
        for url, data in [("a", b"1"), ("b", b"1"), ("b", b"2"), ("c", b"3")]
    )
    before, after = (
        lock.Lock("2026-11-24T12:00:00Z", (same, old)),
        lock.Lock("", (same, new, other)),
    )
    assert list(lock.changed(before, after)) == [(old, new)]


def test_a_server_that_is_gone_is_said_after_some_tries(
    site: Site, downloads: Downloads, slept: list[float]
) -> None:
    site.stop()
    with pytest.raises(DownloadFailed, match="5 tries"):
        downloads.pin(site.url, SILENT)
    assert len(slept) == 4


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://127.0.0.1/fw.bin", "http://[::1", "http://127.0.0.1:x/"),
        *("http://127.0.0.1/with space", "http://127.0.0.1/ü", "http://", "fw.bin"),
    ],
)
def test_an_address_that_is_none_is_said_at_once(
    downloads: Downloads, slept: list[float], url: str
) -> None:
    with pytest.raises(DownloadFailed) as refusal:
        downloads.pin(url, SILENT)
    assert url in refusal.value.message
    assert slept == []
