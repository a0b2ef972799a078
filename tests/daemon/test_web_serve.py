"""The daemon as a process: it says when it answers, and stops without cutting anyone off."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.daemon.content import make_store
from tests.daemon.state_backends import MAC
from tests.daemon.test_web_artifacts import raw
from tests.daemon.web_site import FILES, PROFILES, Lab

BIG = 64 << 20  # bytes: more than every buffer between server and client holds

COMMANDS = {
    "goosed": "from goosectl.main import goosed; raise SystemExit(goosed())",
    "goosectl serve": "import sys; from goosectl.main import main; sys.argv.insert(1, 'serve');"
    " raise SystemExit(main())",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "site.yaml").write_text(PROFILES)
    make_store(tmp_path / "store", {**FILES, "big": os.urandom(1 << 20) * (BIG >> 20)})
    return tmp_path


def start(
    site: Path, *arguments: str, command: str = "goosed", log: int = subprocess.PIPE, **environ: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMANDS[command], *arguments],
        env={"PATH": os.environ["PATH"], "GOOSE_HOME": str(site), "GOOSED_LAB": "true", **environ},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )


@contextmanager
def daemon(
    site: Path, command: str = "goosed", log: int = subprocess.PIPE, **environ: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A daemon on a free port, and its address. What it logs must be read, or go elsewhere."""
    process = start(site, "--listen", "127.0.0.1:0", command=command, log=log, **environ)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_and_stops_on_a_signal(site: Path, command: str, number: signal.Signals) -> None:
    with daemon(site, command) as (process, url):
        with urlopen(f"{url}/readyz", timeout=10) as response:
            assert json.load(response)["ready"] is True
        process.send_signal(number)
        _, log = process.communicate(timeout=20)
        assert process.returncode == 0, log
    messages = [json.loads(line)["message"] for line in log.splitlines()]
    assert messages[-1] == "stopped"


def test_a_state_that_fails_at_the_end_is_logged_and_no_failure(site: Path) -> None:
    with daemon(site) as (process, url):
        with urlopen(f"{url}/v1/boot/ipxe?mac=52:54:00:ff:ff:ff", timeout=10) as response:
            assert b"no machine has MAC 52:54:00:ff:ff:ff" in response.read()
        with closing(sqlite3.connect(site / "state.db")) as state:
            state.execute("alter table refusals rename to lost")
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert process.returncode == 0, log
    last = json.loads(log.splitlines()[-1])
    assert (last["level"], last["code"], last["lost"]) == ("error", "state-failed", 1)
    assert last["message"].startswith("counts of refusals are lost: ")


def test_the_ready_file_is_there_while_it_answers(site: Path) -> None:
    ready = site / "ready.json"
    with daemon(site, GOOSED_READY_FILE=str(ready)) as (process, url):
        assert json.loads(ready.read_text()) == {
            "url": url,
            "boot_url": None,
            "pid": process.pid,
        }
        process.terminate()
        process.communicate(timeout=20)
    assert not ready.exists()


def test_a_running_download_is_finished_before_it_stops(site: Path) -> None:
    with daemon(site) as (process, url), connection(url) as client:
        client.sendall(b"GET /v1/artifacts/site-base/big HTTP/1.1\r\nHost: x\r\n\r\n")
        received = len(client.recv(1000))
        process.terminate()
        time.sleep(0.5)
        assert process.poll() is None
        with pytest.raises(OSError, match="refused"), connection(url):
            pass  # nothing new is taken
        while data := client.recv(1 << 20):
            received += len(data)
        assert received > BIG
        process.communicate(timeout=20)
        assert process.returncode == 0


def test_a_download_that_never_ends_is_cut_after_the_grace(site: Path) -> None:
    with daemon(site, GOOSED_SHUTDOWN_GRACE="1s") as (process, url), connection(url) as client:
        client.sendall(b"GET /v1/artifacts/site-base/big HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(1000)
        began = time.monotonic()
        process.terminate()
        process.communicate(timeout=20)
        assert process.returncode == 0
        assert 0.9 < time.monotonic() - began < 10


def test_idle_connections_do_not_hold_it_up(site: Path) -> None:
    with daemon(site) as (process, url), connection(url) as idle, connection(url) as kept:
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(1000)
        process.terminate()
        process.communicate(timeout=10)
        assert process.returncode == 0
        assert idle.recv(10) == b""


@contextmanager
def connection(url: str) -> Iterator[socket.socket]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        yield client


def test_a_port_that_is_taken_is_named(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(site, "--listen", f"127.0.0.1:{port}")
        _, log = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f"error: cannot listen on 127.0.0.1:{port}: " in log and "\nhint: " in log


def test_an_unknown_setting_keeps_it_from_starting(site: Path) -> None:
    process = start(site, GOOSED_LISTNE="127.0.0.1:0")
    _, log = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "GOOSED_LISTNE is not a setting" in log and "did you mean GOOSED_LISTEN?" in log


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("arguments", "environ", "code", "error"),
    [
        ([], {"GOOSED_READY_FILE": "/dev/null/x"}, 1, "the ready file /dev/null/x cannot be"),
        ([], {"GOOSED_READY_FILE": "/nonexistent/x"}, 1, "the ready file /nonexistent/x cannot be"),
        ([], {"GOOSED_LISTEN": "a" * 80 + ":80"}, 1, "GOOSED_LISTEN: "),
        ([], {"GOOSE_HOME": "~nobody-of-that-name/x"}, 1, "GOOSE_HOME: there is no user"),
        ([], {"GOOSE_HOME": "/dev/null"}, 1, "GOOSE_HOME: /dev/null is not a folder"),
        (["--listen", "a" * 80 + ":80"], {}, 2, "--listen: "),
        (["--listen", "foo"], {}, 2, "--listen: 'foo' is not HOST:PORT"),
        (["--lisn", "foo"], {}, 2, "no such option: --lisn"),
    ],
)
def test_what_keeps_it_from_starting_is_told_in_words(
    site: Path, command: str, arguments: list[str], environ: dict[str, str], code: int, error: str
) -> None:
    given = {"GOOSED_LISTEN": "127.0.0.1:0", "GOOSE_HOME": str(site)} | environ
    process = start(site, *arguments, command=command, **given)
    out, log = process.communicate(timeout=20)
    *_, first, second = log.splitlines()
    assert (process.returncode, out) == (code, "")
    assert first.startswith(f"error: {error}") and second.startswith("hint: ")
    assert "Traceback" not in log


def test_no_secret_is_written_to_the_log(site: Path) -> None:
    arm = "from goosectl.main import main; raise SystemExit(main())"
    environ = {"PATH": os.environ["PATH"], "GOOSE_HOME": str(site)}
    subprocess.run(
        [sys.executable, "-c", arm, "machine", "arm", "web1"],
        env=environ, check=True, capture_output=True,
    )  # fmt: skip
    with daemon(site, GOOSED_LOG_LEVEL="debug") as (process, url):
        with urlopen(f"{url}/v1/boot/ipxe?mac={MAC}", timeout=10) as response:
            secret = response.read().decode().partition("token=")[2].split()[0]
        for path in ("kickstart", "preseed", "kickstart"):
            for query in (f"?token={secret}", f"?x=1&token={secret}&y=2"):
                with suppress(OSError):
                    urlopen(f"{url}/v1/render/{path}{query}", timeout=10).close()
        with suppress(OSError):
            urlopen(f"{url}/no/such/token={secret}", timeout=10).close()
        with suppress(OSError):
            urlopen(f"{url}/v1/render/kickstart?%74oken={secret}", timeout=10).close()
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert secret not in log
    lines = [json.loads(line) for line in log.splitlines()]
    assert any(line.get("status") == 410 for line in lines)


async def test_every_log_line_of_a_request_bears_its_id(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    given = await lab.get("/healthz", X_Request_Id="boot-7.a")
    assert given.headers["X-Request-Id"] == "boot-7.a"
    made = await lab.get("/healthz", X_Request_Id="bad id\u00fc" + "x" * 100)
    assert made.headers["X-Request-Id"].isalnum()
    logged = [record for record in caplog.records if record.name == "goosed.access"]
    ids = [record.__dict__["fields"]["id"] for record in logged]
    assert ids == ["boot-7.a", made.headers["X-Request-Id"]]


async def test_readiness_falls_with_the_state_and_comes_back(lab: Lab) -> None:
    assert (await lab.get("/readyz")).status == 200
    index = lab.home.store / "index.json"
    good = index.read_bytes()
    index.write_bytes(b"{")
    response = await lab.get("/readyz")
    assert response.status == 503
    assert (await response.json())["checks"] == {
        "state": "ok", "store": "bad-refs", "profiles": "ok",
    }  # fmt: skip
    assert (await lab.get("/healthz")).status == 200
    index.write_bytes(good)
    with lab.deps.state.write() as transaction:
        transaction.execute("alter table machines rename to lost")
    response = await lab.get("/readyz")
    assert response.status == 503
    assert (await response.json())["checks"]["state"] == "state-failed"
    with lab.deps.state.write() as transaction:
        transaction.execute("alter table lost rename to machines")
    assert (await lab.get("/readyz")).status == 200


async def test_a_state_that_fails_leaves_machines_to_their_disks(lab: Lab) -> None:
    lab.arm()
    with lab.deps.state.write() as transaction:
        transaction.execute("alter table tokens rename to lost")
    script = await lab.script()
    assert "sanboot" in script and "no such table" in script


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "route-unknown"),
        ("GET", "/v1/nothing", 404, "route-unknown"),
        ("POST", "/healthz", 405, "method-not-allowed"),
        ("GET", "/v1/render/kickstart", 400, "bad-query"),
        ("GET", "/v1/render/nothing?token=x", 404, "route-unknown"),
        ("GET", "/v1/artifacts/site-base/nothing", 404, "artifact-missing"),
        ("POST", "/v1/machines/nonsense/progress?token=x&step=started", 400, "bad-mac"),
    ],
)
async def test_every_refusal_has_the_one_envelope(
    lab: Lab, method: str, path: str, status: int, code: str
) -> None:
    response = await lab.get(path, method)
    body = await response.json()
    assert (response.status, list(body)) == (status, ["error"])
    error = body["error"]
    assert sorted(error) == ["code", "details", "hint", "message", "request_id"]
    assert error["code"] == code and error["message"] and error["hint"]
    assert error["request_id"] == response.headers["X-Request-Id"]


async def test_a_fault_of_ours_tells_nothing_of_itself(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(lab.deps.tokens, "look", broken)
    response = await lab.get("/v1/render/kickstart?token=x")
    text = await response.text()
    assert response.status == 500 and "hunter2" not in text
    assert response.headers["X-Request-Id"] in text


async def test_durations_are_labelled_by_route_and_never_by_path(lab: Lab) -> None:
    await lab.script()
    await lab.get("/v1/artifacts/site-base/rhel9/.treeinfo")
    await lab.get("/made/up/by/a/stranger")
    await lab.get("/healthz", "PROPFIND")
    text = await (await lab.get("/metrics")).text()
    counts = [
        line for line in text.splitlines() if line.startswith("http_server_duration_seconds_count")
    ]
    found = {line.partition("{")[2].rpartition("}")[0] for line in counts}
    content = 'method="GET",route="/v1/artifacts/{bundle}/{path}"'
    assert found == {
        'method="GET",route="/v1/boot/ipxe",service="goosed-bootd",status_code="200"',
        f'{content},service="goosed-bootd",status_code="200"',
        'method="GET",route="unmatched",service="goosed-api",status_code="404"',
        'method="other",route="unmatched",service="goosed-api",status_code="405"',
    }
    buckets = [line for line in text.splitlines() if 'route="unmatched"' in line and "le=" in line]
    bounds = [line.partition('le="')[2].partition('"')[0] for line in buckets if "GET" in line]
    assert bounds == [
        "0.005",
        "0.01",
        "0.025",
        "0.05",
        "0.075",
        "0.1",
        "0.25",
        "0.5",
        "0.75",
        "1.0",
        "2.5",
        "5.0",
        "7.5",
        "10.0",
        "+Inf",
    ]
    assert MAC not in text


@asynccontextmanager
async def slow(lab: Lab, path: str) -> AsyncIterator[asyncio.StreamReader]:
    host, _, port = lab.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1000)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    yield reader
    writer.close()


async def test_clients_that_read_slowly_hold_nobody_up(lab: Lab) -> None:
    make_store(lab.home.store, {"big": bytes(BIG)}, name="big")
    async with slow(lab, "/v1/artifacts/big/big"), slow(lab, "/v1/artifacts/big/big"):
        await asyncio.sleep(0.2)
        async with asyncio.timeout(5):
            assert (await lab.get("/healthz")).status == 200
            assert (await lab.get("/v1/artifacts/site-base/parted.iso")).status == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01 token=secret\r\n\r\n",  # the first bytes of TLS
        b"GET /v1/render/kickstart?token=secret HTTP/9.9\r\n\r\n",
        b"GET /v1/render/kickstart HTTP/1.1\r\ntoken=secret\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_and_leaves_no_traceback(
    lab: Lab, caplog: pytest.LogCaptureFixture, request_: bytes
) -> None:
    answer = await raw(lab, request_)
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert "secret" not in caplog.text
    assert [record for record in caplog.records if record.exc_info] == []


async def test_clients_that_go_away_are_no_errors(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    make_store(lab.home.store, {"big": bytes(BIG)}, name="big")
    async with slow(lab, "/v1/artifacts/big/big") as reader:
        await reader.read(10)
    async with asyncio.timeout(10):  # the server learns of it by its next write
        route = "/v1/artifacts/{bundle}/{path}"
        count = f'http_server_duration_seconds_count{{method="GET",route="{route}"'
        metric = f'{count},service="goosed-bootd",status_code="499"}}'
        while await lab.metric(metric) < 1:  # noqa: ASYNC110 - it is the server that knows
            await asyncio.sleep(0.05)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
