"""Events over TLS: to the NATS server that the site's authority vouches for, and to no other."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from goosed_daemon import outbox
from goosed_daemon.web import orchestration, publisher
from tests.daemon import tls_site
from tests.daemon.state_backends import MAC
from tests.daemon.test_events import STEPS, install, received, until
from tests.daemon.web_site import running
from tests.nats_server import NatsServer

SECRET = "not-for-strangers"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "_RETRY", (0.1,))
    monkeypatch.setattr(publisher, "IDLE", 0.05)
    monkeypatch.setattr(orchestration, "IDLE", 0.05)


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """The site's authority (PEM), which has issued `goosed.crt`."""
    tls_site.issue(tls_site.authority(tmp_path / "ours"))
    return tmp_path / "ours" / "ca.crt"


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """An authority of someone else."""
    tls_site.authority(tmp_path / "foreign")
    return tmp_path / "foreign" / "ca.crt"


@pytest.fixture
def server(tmp_path: Path, ours: Path) -> Iterator[NatsServer]:
    issued = ours.parent / "issued"
    server = NatsServer(
        tmp_path / "nats",
        f'tls {{ cert_file: "{issued / "goosed.crt"}", key_file: "{issued / "goosed.key"}" }}\n'
        f"authorization {{ token: {SECRET} }}\n",
    )
    server.start()
    yield server
    server.stop()


def settings(port: int, ca: Path) -> dict[str, str]:
    return {"NATS_URL": f"tls://{SECRET}@127.0.0.1:{port}", "GOOSED_NATS_CA": str(ca)}


async def read(server: NatsServer, ca: Path, number: int) -> int:
    """How many events a subscriber finds once there are `number`."""
    found = await received(
        f"tls://127.0.0.1:{server.port}",
        number,
        token=SECRET,
        tls=ssl.create_default_context(cafile=ca),
    )
    return len({event["id"] for event in found})


async def test_events_reach_a_server_that_the_authority_vouches_for(
    tmp_path: Path, server: NatsServer, ours: Path
) -> None:
    environ = settings(server.port, ours)
    async with running(tmp_path / "site", **environ) as lab, orchestration.running(lab.deps):
        install(lab.deps.state, MAC)
        assert await read(server, ours, len(STEPS)) == len(STEPS)


async def test_a_server_of_another_authority_gets_nothing_and_nothing_is_lost(
    tmp_path: Path, server: NatsServer, ours: Path, foreign: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trusted = Path(shutil.copyfile(foreign, tmp_path / "trusted.crt"))
    environ = settings(server.port, trusted)
    async with running(tmp_path / "site", **environ) as lab, orchestration.running(lab.deps):
        install(lab.deps.state, MAC)
        await until(lambda: "events wait" in caplog.text)
        await until(lambda: outbox.depth(lab.deps.state).messages == len(STEPS))
        assert "CERTIFICATE_VERIFY_FAILED" in str([one.__dict__ for one in caplog.records])
        assert SECRET not in str([one.__dict__ for one in caplog.records])
        await asyncio.sleep(2)  # further attempts
        assert outbox.depth(lab.deps.state).messages == len(STEPS)
        shutil.copyfile(ours, trusted)  # the mistake is mended, and nobody restarts the daemon
        assert await read(server, ours, len(STEPS)) == len(STEPS)
        await until(lambda: outbox.depth(lab.deps.state).messages == 0)
    log = (tmp_path / "nats" / "log").read_text()
    assert "TLS handshake error" in log and "Authorization" not in log


async def test_a_server_with_another_name_gets_nothing(
    tmp_path: Path, server: NatsServer, ours: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = settings(server.port, ours)
    environ["NATS_URL"] = f"tls://{SECRET}@localhost:{server.port}"  # not in its certificate
    async with running(tmp_path / "site", **environ) as lab, orchestration.running(lab.deps):
        install(lab.deps.state, MAC)
        await until(lambda: "events wait" in caplog.text)
        await until(lambda: outbox.depth(lab.deps.state).messages == len(STEPS))
        assert "Hostname mismatch" in str([one.__dict__ for one in caplog.records])


async def test_a_server_killed_in_mid_stream_gets_every_event_once_over_tls(
    tmp_path: Path, server: NatsServer, ours: Path
) -> None:
    macs = [f"52:54:00:00:{number:02x}:01" for number in range(20)]
    environ = settings(server.port, ours)
    async with running(tmp_path / "site", **environ) as lab, orchestration.running(lab.deps):
        for number, mac in enumerate(macs):
            install(lab.deps.state, mac)
            if number == 10:
                await asyncio.sleep(0.1)
                server.stop()
                await asyncio.sleep(0.3)
                server.start()
        assert await read(server, ours, len(macs) * len(STEPS)) == len(macs) * len(STEPS)
        await until(lambda: outbox.depth(lab.deps.state).messages == 0)


async def test_tls_stripping_gets_no_token(
    tmp_path: Path, ours: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever sits on the wire says in the server's greeting, which is not encrypted, that there is
    no TLS and that he wants to know who is there."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def strip() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        client.settimeout(5)
                        info = b'INFO {"server_id":"x","version":"2.10.0","auth_required":true}\r\n'
                        client.sendall(info)
                        with suppress(OSError):
                            heard.append(client.recv(65536))

        threading.Thread(target=strip, daemon=True).start()
        for scheme in ("tls", "nats"):  # with an authority set, plain `nats://` means TLS too
            environ = settings(port, ours)
            environ["NATS_URL"] = f"{scheme}://{SECRET}@127.0.0.1:{port}"
            caplog.clear()
            async with (
                running(tmp_path / scheme, **environ) as lab,
                orchestration.running(lab.deps),
            ):
                install(lab.deps.state, MAC)
                await until(lambda: "events wait" in caplog.text)
                heard.clear()
                await until(lambda: len(heard) >= 2)  # it does not give up either
            assert not any(SECRET.encode() in said or b"CONNECT" in said for said in heard)
            assert "offers no TLS" in str([one.__dict__ for one in caplog.records])
        listener.shutdown(socket.SHUT_RDWR)
