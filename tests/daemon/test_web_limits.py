"""How much one address may ask for, from where, and how long it may take."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from goosed_daemon.setting_forms import Rate, networks, rate
from goosed_daemon.web import guard
from goosed_daemon.web.limits import Buckets, bucket_of, within
from tests.daemon.state_backends import MAC
from tests.daemon.web_site import Lab, running

OTHER = "52:54:00:12:34:99"


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_its_count_at_once_and_then_one_by_one() -> None:
    clock = Seconds()
    buckets = Buckets(Rate(3, timedelta(seconds=6)), clock)
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a") == pytest.approx(2)
    assert buckets.take("b") == 0  # each has its own
    clock.now += 1.9
    assert buckets.take("a") > 0
    clock.now += 0.2
    assert buckets.take("a") == 0
    assert buckets.take("a") > 0
    clock.now += 1000
    assert [buckets.take("a") for _ in range(4)][:3] == [0, 0, 0]  # never more than the count


def test_a_flood_of_addresses_does_not_fill_memory() -> None:
    buckets = Buckets(Rate(3, timedelta(seconds=6)), Seconds(), most=100)
    for number in range(10_000):
        buckets.take(str(number))
    assert len(buckets) == 100


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_an_ipv6_host_has_one_bucket_for_all_its_addresses(
    first: str, second: str, same: bool
) -> None:
    assert (bucket_of(first) == bucket_of(second)) is same


def test_an_address_is_in_a_network_however_it_is_written() -> None:
    assert within("::ffff:10.1.2.3", networks("10.0.0.0/8 fd00::/8"))
    assert within("fd00::1", networks("10.0.0.0/8 fd00::/8"))
    assert not within("11.0.0.1", networks("10.0.0.0/8 fd00::/8"))
    assert not within("unknown", networks("0.0.0.0/0 ::/0"))


@pytest.mark.parametrize("text", ["", "0/1s", "5", "5/", "x/1s", "5/0s", "-1/1s", "1/1s/1s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 600/10s"):
        rate(text)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "goose.example", ""])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        networks(text)


async def test_an_address_that_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    async with running(tmp_path, GOOSED_RATE_ADDRESS="3/1h") as lab:
        for _ in range(3):
            assert (await lab.get("/boot.ipxe")).status == 200
        refused = await lab.get("/boot.ipxe")
        assert refused.status == 503
        assert re.fullmatch("[1-9][0-9]*", refused.headers["Retry-After"])  # as iPXE reads it
        assert 1000 < int(refused.headers["Retry-After"]) <= 1200
        assert (await refused.json())["error"]["code"] == "too-many-requests"
        # What monitoring and a running install ask for goes on.
        for path in ("/healthz", "/readyz", "/metrics", "/v1/artifacts/site-base/rhel9/.treeinfo"):
            assert (await lab.get(path)).status == 200


async def test_one_machine_that_asks_too_often_leaves_the_others_alone(tmp_path: Path) -> None:
    async with running(tmp_path, GOOSED_RATE_MACHINE="2/1h") as lab:
        spellings = (MAC, MAC.upper().replace(":", "-"))
        for spelling in spellings:
            assert (await lab.get(f"/v1/boot/ipxe?mac={spelling}")).status == 200
        refused = await lab.get(f"/v1/boot/ipxe?mac={MAC}")
        assert (refused.status, (await refused.json())["error"]["code"]) == (
            503,
            "too-many-requests",
        )
        assert (await lab.get(f"/v1/boot/ipxe?mac={OTHER}")).status == 200
        reported = await lab.get(f"/v1/machines/{MAC}/progress?token=x&step=started", "POST")
        assert reported.status == 503
        assert (await lab.get("/v1/boot/ipxe?mac=nonsense")).status == 200  # a script says so


async def test_a_stranger_who_tells_another_machines_mac_uses_up_nothing_of_its(
    tmp_path: Path,
) -> None:
    environ = {"GOOSED_RATE_MACHINE": "2/1h", "GOOSED_TRUSTED_PROXIES": "127.0.0.0/8"}
    async with running(tmp_path, **environ) as lab:
        for _ in range(5):
            await lab.get(f"/v1/boot/ipxe?mac={MAC}", X_Forwarded_For="10.0.0.66")
        theirs = await lab.get(f"/v1/boot/ipxe?mac={MAC}", X_Forwarded_For="10.0.0.66")
        own = await lab.get(f"/v1/boot/ipxe?mac={MAC}", X_Forwarded_For="10.0.0.1")
        assert (theirs.status, own.status) == (503, 200)


async def test_machines_boot_from_the_networks_of_the_site_only(tmp_path: Path) -> None:
    environ = {"GOOSED_BOOT_NETWORKS": "10.0.0.0/8", "GOOSED_TRUSTED_PROXIES": "127.0.0.0/8"}
    async with running(tmp_path, **environ) as lab:
        paths = (
            "/boot.ipxe",
            "/boot.grub",
            f"/v1/boot/ipxe?mac={MAC}",
            f"/v1/boot/grub?mac={MAC}",
            "/v1/render/kickstart?token=x",
            "/v1/artifacts/site-base/rhel9/.treeinfo",
        )
        for path in paths:
            far = await lab.get(path, X_Forwarded_For="192.0.2.1")
            assert (far.status, (await far.json())["error"]["code"]) == (403, "not-a-boot-network")
            near = await lab.get(path, X_Forwarded_For="10.1.1.1")
            assert near.status != 403
        assert (await lab.get("/readyz")).status == 200


@pytest.mark.parametrize(
    ("told", "seen"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("1.1.1.1, 10.0.0.1", "10.0.0.1"),  # the left one was written by who knows whom
        ("10.0.0.1, 127.0.0.9", "10.0.0.1"),  # through two proxies of ours
        ("10.0.0.1, nonsense", "127.0.0.1"),
        ("", "127.0.0.1"),
        (None, "127.0.0.1"),
    ],
)
async def test_a_forged_forwarding_header_is_believed_of_proxies_only(
    tmp_path: Path, told: str | None, seen: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    headers = {} if told is None else {"X_Forwarded_For": told}
    async with running(tmp_path, GOOSED_TRUSTED_PROXIES="127.0.0.0/8") as lab:
        await lab.get("/healthz", **headers)
        (record,) = [record for record in caplog.records if record.getMessage() == "request"]
        assert record.__dict__["fields"]["address"] == seen
    caplog.clear()
    async with running(tmp_path / "direct") as lab:
        await lab.get("/healthz", **headers)
        (record,) = [record for record in caplog.records if record.getMessage() == "request"]
        assert record.__dict__["fields"]["address"] == "127.0.0.1"


# --- slow clients --------------------------------------------------------------------------------


@asynccontextmanager
async def connected(lab: Lab) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = lab.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    yield reader, writer
    writer.close()


@pytest.mark.parametrize("first", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nX: "])
async def test_slowloris_on_the_head_is_cut_off(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    monkeypatch.setattr(guard, "HEAD_SECONDS", 0.5)
    async with connected(lab) as (reader, writer), asyncio.timeout(60):
        writer.write(first)
        while not reader.at_eof():  # a byte now and then does not buy more time
            try:
                await asyncio.wait_for(reader.read(100), 0.1)
                writer.write(b"a" if first else b"")
            except TimeoutError:
                pass
            except ConnectionError:
                break


async def test_slowloris_on_the_body_is_cut_off(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.5)
    async with connected(lab) as (reader, writer), asyncio.timeout(60):
        writer.write(
            b"POST /v1/agents/register HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
        )
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 408 ") and b'"request-timeout"' in answer


async def test_an_idle_connection_between_two_requests_is_kept(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "HEAD_SECONDS", 0.3)
    async with connected(lab) as (reader, writer), asyncio.timeout(60):
        for _ in range(2):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in await reader.readuntil(b"ok\n")
            await asyncio.sleep(1)


async def test_connections_beyond_the_most_are_closed_and_room_is_made_again(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, GOOSED_MAX_CONNECTIONS="10") as lab, asyncio.timeout(60):
        host, _, port = lab.url.removeprefix("http://").rpartition(":")
        held = [await asyncio.open_connection(host, int(port)) for _ in range(10)]
        for _, writer in held:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        for reader, _ in held:
            await reader.readuntil(b"ok\n")
        reader, writer = await asyncio.open_connection(host, int(port))
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        for _, writer in held:
            writer.close()
        while True:
            try:
                assert (await lab.get("/healthz")).status == 200
                break
            except OSError:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
    ],
)
async def test_an_oversized_head_is_refused(lab: Lab, request_: bytes) -> None:
    async with connected(lab) as (reader, writer), asyncio.timeout(60):
        writer.write(request_)
        assert (await reader.read()).startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
    assert (await lab.get("/healthz")).status == 200


async def test_an_oversized_body_is_refused_and_not_read(lab: Lab) -> None:
    async with connected(lab) as (reader, writer), asyncio.timeout(60):
        head = b"POST /v1/agents/register HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
        writer.write(head + b"{" * 100_000)
        answer = await reader.read(100)
        assert answer.startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/boot/ipxe?mac={MAC}%0d%0aX-Injected:%20yes",
        "/v1/artifacts/site-base/x%0d%0aX-Injected:%20yes",
        "/v1/render/kick%0d%0aX-Injected:%20yes?token=x",
        "/no%0d%0aX-Injected:%20yes",
    ],
)
async def test_header_injection_by_crlf_adds_no_header(lab: Lab, path: str) -> None:
    response = await lab.get(path, X_Request_Id="a%0d%0aX-Injected: yes")
    assert "X-Injected" not in response.headers
    assert all("\r" not in value and "\n" not in value for value in response.headers.values())
