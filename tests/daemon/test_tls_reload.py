"""The certificate follows its files while the daemon serves, and a broken one changes nothing."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import ssl
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from bundles.files.durable import replace_file
from goosed_daemon import pki
from goosed_daemon.errors import TlsUnusable
from goosed_daemon.tls import ServerTls
from tests.daemon.test_web_serve import daemon, site, start
from tests.daemon.tls_site import TlsLab, authority, issue, running_tls

__all__ = ["site"]  # the fixture


@pytest.fixture
async def tls_lab(tmp_path: Path) -> AsyncIterator[TlsLab]:
    async with running_tls(tmp_path) as lab:
        yield lab


async def test_a_new_certificate_is_served_and_no_request_fails(tls_lab: TlsLab) -> None:
    served = tls_lab.lab.deps.tls
    assert served is not None
    context = ssl.create_default_context(cafile=str(tls_lab.ca))
    done, failed, stop = 0, [], False

    async def ask() -> None:
        nonlocal done
        while not stop:
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", tls_lab.port, ssl=context
                )
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
                writer.close()
                assert answer.endswith(b"\r\n\r\nok\n"), answer
                done += 1
            except Exception as error:
                failed.append(error)

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    serials = {await tls_lab.serial()}
    for _ in range(5):
        before = done
        await asyncio.to_thread(issue, tls_lab.authority)
        # In a thread, as the daemon does it: while connections come in.
        assert await asyncio.to_thread(served.look)
        serials.add(await tls_lab.serial())
        while done < before + 20 and not failed:  # noqa: ASYNC110 - it is the others who work
            await asyncio.sleep(0.01)
    stop = True
    await asyncio.gather(*asking)
    assert failed == []
    assert len(serials) == 6


async def test_a_connection_that_is_open_stays_so(tls_lab: TlsLab) -> None:
    served = tls_lab.lab.deps.tls
    assert served is not None
    context = ssl.create_default_context(cafile=str(tls_lab.ca))
    reader, writer = await asyncio.open_connection("127.0.0.1", tls_lab.port, ssl=context)
    for _ in range(2):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"ok\n")
        issue(tls_lab.authority)
        assert served.look()
    writer.close()


Breaking = Callable[[Path, Path], object]

BREAKINGS: dict[str, Breaking] = {
    "certificate gone": lambda crt, key: crt.unlink(),
    "key gone": lambda crt, key: key.unlink(),
    "certificate empty": lambda crt, key: replace_file(crt, b""),
    "certificate cut": lambda crt, key: replace_file(crt, crt.read_bytes()[:300]),
    "key garbage": lambda crt, key: replace_file(key, b"nothing\n"),
    "key of another": lambda crt, key: replace_file(key, crt.with_name("other.key").read_bytes()),
    "key encrypted": lambda crt, key: replace_file(
        key, b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    ),
}


@pytest.mark.parametrize("name", BREAKINGS)
async def test_a_broken_pair_changes_nothing_and_is_told(tls_lab: TlsLab, name: str) -> None:
    served = tls_lab.lab.deps.tls
    assert served is not None
    issue(tls_lab.authority, "other")
    crt = tls_lab.folder / "pki" / "issued" / "goosed.crt"
    before, good = await tls_lab.serial(), (crt.read_bytes(), crt.with_suffix(".key").read_bytes())
    BREAKINGS[name](crt, crt.with_suffix(".key"))
    assert not served.look()
    assert served.problem is None  # whoever renews replaces two files: one look is waited
    assert not served.look()
    assert served.problem is not None
    assert await tls_lab.serial() == before
    ready = await tls_lab.curl("-w", "%{http_code}", f"https://127.0.0.1:{tls_lab.port}/readyz")
    body, _, status = ready.out.rpartition("\n")
    assert (json.loads(body)["checks"]["certificate"], status) == ("tls-unusable", "200")
    replace_file(crt.with_suffix(".key"), good[1])
    replace_file(crt, good[0])
    assert served.look()
    assert served.problem is None


async def test_a_pair_caught_half_replaced_is_no_alarm(tls_lab: TlsLab) -> None:
    served = tls_lab.lab.deps.tls
    assert served is not None
    other = issue(tls_lab.authority, "other").path
    crt = tls_lab.folder / "pki" / "issued" / "goosed.crt"
    replace_file(crt.with_suffix(".key"), other.with_suffix(".key").read_bytes())
    assert not served.look()
    replace_file(crt, other.read_bytes())
    assert served.look()
    assert served.problem is None


def test_files_that_did_not_change_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(authority(tmp_path / "pki"))
    crt = tmp_path / "pki" / "issued" / "goosed.crt"
    served = ServerTls(crt, crt.with_suffix(".key"))
    monkeypatch.setattr(ServerTls, "_load", lambda self: pytest.fail("it was read"))
    assert not served.look()


@pytest.mark.parametrize("name", BREAKINGS)
def test_a_daemon_does_not_start_with_a_broken_pair(tmp_path: Path, name: str) -> None:
    made = authority(tmp_path / "pki")
    issue(made)
    issue(made, "other")
    crt = tmp_path / "pki" / "issued" / "goosed.crt"
    BREAKINGS[name](crt, crt.with_suffix(".key"))
    with pytest.raises(TlsUnusable) as caught:
        ServerTls(crt, crt.with_suffix(".key"))
    assert str(crt.parent) in caught.value.message and "pki issue" in caught.value.hint


def test_validity_is_judged_by_the_daemons_clock(tmp_path: Path) -> None:
    issue(authority(tmp_path / "pki"))
    crt = tmp_path / "pki" / "issued" / "goosed.crt"
    served, now = ServerTls(crt, crt.with_suffix(".key")), datetime.now(UTC)
    assert served.refusal(now) is None
    for then, words in ((now + pki.LEAF_LIFE, "ended at"), (now - timedelta(days=1), "begins at")):
        refusal = served.refusal(then)
        assert refusal is not None and words in refusal.message


# --- as a process --------------------------------------------------------------------------------

TLS = {"GOOSED_LAB": "false", "GOOSED_BOOT_LISTEN": "127.0.0.1:0"}


def serial_of(url: str, ca: Path) -> str:
    context = ssl.create_default_context(cafile=str(ca))
    context.check_hostname = False
    host, _, port = url.removeprefix("https://").partition(":")
    connection = HTTPSConnection(host, int(port), context=context, timeout=30)
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b"ok\n"
    certificate = connection.sock.getpeercert()
    connection.close()
    assert certificate
    return str(certificate["serialNumber"])


def test_it_loads_a_new_certificate_on_sighup(site: Path) -> None:
    made = authority(site / "pki")
    issue(made)
    ready, ca = site / "ready.json", site / "pki" / "ca.crt"
    with daemon(site, GOOSED_READY_FILE=str(ready), **TLS) as (process, boot):
        told = json.loads(ready.read_text())
        assert told["boot_url"] == boot and told["url"].startswith("https://127.0.0.1:")
        before = serial_of(told["url"], ca)
        issue(made)
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while serial_of(told["url"], ca) == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (site / "pki" / "issued" / "goosed.key").write_text("broken")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert "serving with another certificate" in log


def test_without_a_certificate_it_says_how_to_go_on(site: Path) -> None:
    process = start(site, "--listen", "127.0.0.1:0", **TLS)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"error: there is no certificate {site}/pki/issued/goosed.crt" in log
    hint = log.partition("\nhint: ")[2]
    for step in ("goosectl pki init", "goosectl pki issue goosed", "lab: true"):
        assert step in hint
    assert "Traceback" not in log


async def test_the_end_of_the_certificate_is_a_metric(site: Path) -> None:
    made = issue(authority(site / "pki"))
    with daemon(site, GOOSED_READY_FILE=str(site / "ready.json"), **TLS):
        url = json.loads((site / "ready.json").read_text())["url"]
        context = ssl.create_default_context(cafile=str(site / "pki" / "ca.crt"))
        host, _, port = url.removeprefix("https://").partition(":")
        connection = HTTPSConnection(host, int(port), context=context, timeout=30)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
    (line,) = re.findall(
        r"^goosed_tls_certificate_expiry_timestamp_seconds (\S+)$", text, re.MULTILINE
    )
    assert float(line) == made.not_after.timestamp()
