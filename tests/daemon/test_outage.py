"""PostgreSQL goes away under a daemon that a thousand machines boot from, and comes back."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from socket import create_server

import psycopg
import pytest
from aiohttp import ClientSession, TCPConnector

from goosed_daemon import machines
from goosed_daemon.errors import StateError
from goosed_daemon.state.migrate import migrate
from goosed_daemon.state.outage import Outage
from goosed_daemon.state.postgres import PostgresState
from tests.daemon.postgres import Server
from tests.daemon.state_backends import MAC, NOW
from tests.daemon.web_site import PROFILES, Lab, running

CLIENTS = 1000
AT_ONCE = 60  # of them, as a rack's switch lets them through


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.remove()


@pytest.fixture
async def lab(tmp_path: Path, server: Server) -> AsyncIterator[Lab]:
    dsn = server.dsn("postgres")
    environ = {"DB_DSN": dsn, "GOOSED_RATE_ADDRESS": "none", "GOOSED_RATE_MACHINE": "none"}
    head, _, machine = PROFILES.rpartition("---\n")
    everyone = "---\n".join(
        machine.replace(MAC, _mac(number)).replace("web1", f"web-{number}")
        for number in range(CLIENTS)
    )
    async with running(tmp_path, f"{head}---\n{everyone}", **environ) as lab:
        yield lab
        lab.deps.state.close()  # and what it holds open
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("drop schema public cascade")
            connection.execute("create schema public")


def _mac(number: int) -> str:
    return f"52:54:00:aa:{number // 256:02x}:{number % 256:02x}"


def test_while_a_server_is_away_one_caller_tries_and_the_others_are_told_at_once() -> None:
    outage = Outage()
    assert outage.refusal() is None and not outage.over()
    outage.begin("gone")
    assert [outage.refusal() for _ in range(3)] == [None, "gone", "gone"]
    outage.begin("still gone")
    assert [outage.refusal() for _ in range(3)] == [None, "still gone", "still gone"]
    late = threading.Thread(target=outage.begin, args=("found out by another",))
    late.start()
    late.join()
    assert outage.refusal() == "found out by another"  # and makes no room for a second to try
    outage.gave_up()
    assert outage.refusal() is None
    assert outage.over()
    assert [outage.refusal() for _ in range(3)] == [None, None, None] and not outage.over()


def test_a_thousand_callers_of_a_server_that_hangs_do_not_queue(server: Server) -> None:
    state = PostgresState(server.dsn("postgres"), busy_seconds=15)
    migrate(state, NOW)
    server.stop()
    calls, refused = Queue[int](), Queue[str]()
    for number in range(1000):
        calls.put(number)

    def work() -> None:
        with suppress(Empty):
            while True:
                calls.get_nowait()
                try:
                    with state.read():
                        pass
                except StateError as error:
                    refused.put(error.code)

    try:
        # In its place something that takes connections and says nothing on them.
        with create_server(("127.0.0.1", server.port), backlog=1000):
            threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:  # each with its own time-out, they would take many minutes
                thread.join(timeout=120)
            assert refused.qsize() == 1000
    finally:
        server.start()
        state.close()


class Machine:
    """What one machine does: boot, render, report; and boot again where an answer says so."""

    def __init__(self, lab: Lab, client: ClientSession, number: int, seen: Counter[str]) -> None:
        self._lab, self._client, self._seen = lab, client, seen
        self.mac = _mac(number)

    async def install(self) -> None:
        for _ in range(200):
            secret = await self._script()
            if secret is None:
                continue
            file = await self._fetch("GET", f"/v1/render/kickstart?token={secret}")
            if file is None:
                continue  # the installer gives up, and the machine boots again
            report = file.partition("/progress?token=")[2].partition("&")[0]
            path = f"/v1/machines/{self.mac}/progress?token={report}&step=installed"
            assert await self._fetch("POST", path) is not None, "a report was refused"
            return
        raise AssertionError(f"{self.mac} never got to its end")

    async def _script(self) -> str | None:
        text = await self._fetch("GET", f"/v1/boot/ipxe?mac={self.mac}")
        assert text is not None
        if "token=" in text:
            return text.partition("token=")[2].split()[0]
        self._seen["told to ask again"] += "asking again" in text
        await asyncio.sleep(0.5)  # as the script says, but sooner
        return None

    async def _fetch(self, method: str, path: str) -> str | None:
        """As curl --retry does it; None for a refusal that stays."""
        for _ in range(200):
            async with self._client.request(method, self._lab.url + path) as answer:
                text = await answer.text()
                self._seen[str(answer.status)] += 1
                if answer.status in (200, 204):
                    return text
                if answer.status != 503:
                    return None
                assert int(answer.headers["Retry-After"]) > 0
            await asyncio.sleep(0.5)
        raise AssertionError(f"{path} was never answered")


@pytest.mark.timeout(600)
async def test_a_restart_of_postgresql_amid_a_thousand_installs_loses_none(
    lab: Lab, server: Server
) -> None:
    state, now = lab.deps.state, lab.clock.now

    def arm() -> None:
        for number in range(CLIENTS):
            machines.arm(state, _mac(number), 10, now, "operator")

    await asyncio.to_thread(arm)
    seen, room, done = Counter[str](), asyncio.Semaphore(AT_ONCE), 0
    ready = {(await lab.get("/readyz")).status}

    async with ClientSession(connector=TCPConnector(limit=AT_ONCE)) as client:

        async def one(number: int) -> None:
            nonlocal done
            async with room:
                await Machine(lab, client, number, seen).install()
                done += 1

        running_ = [asyncio.create_task(one(number)) for number in range(CLIENTS)]
        while done < CLIENTS // 4:  # noqa: ASYNC110 - it is the machines that work
            await asyncio.sleep(0.05)
        await asyncio.to_thread(server.stop)  # as a crash
        for _ in range(4):
            await asyncio.sleep(1)
            ready.add((await lab.get("/readyz")).status)
        assert done < CLIENTS
        await asyncio.to_thread(server.start)
        await asyncio.gather(*running_)
    assert ready == {200, 503}
    assert (await lab.get("/readyz")).status == 200
    assert seen["503"] > 0 or seen["told to ask again"] > 0
    assert "500" not in seen

    def found() -> tuple[int, int, int]:
        with state.read() as transaction:
            ((installed,),) = transaction.execute(
                "select count(*) from machines where not armed and reason = 'installed'"
            )
            ((claims,),) = transaction.execute(
                "select count(*) from events where kind = 'token-claimed'"
            )
            ((used,),) = transaction.execute("select count(*) from tokens where used")
        return installed, claims, used

    installed, claims, used = await asyncio.to_thread(found)
    assert installed == CLIENTS
    assert claims == used >= CLIENTS  # each use is recorded with what it used, or neither is


async def test_an_outage_leaves_a_machine_to_its_disk_after_a_few_tries(
    lab: Lab, server: Server
) -> None:
    machines.arm(lab.deps.state, _mac(0), 3, lab.clock.now, "operator")
    server.stop()
    try:
        path, tries = f"/v1/boot/ipxe?mac={_mac(0)}", 0
        while True:
            script = await (await lab.get(path)).text()
            assert "sanboot" in script and "token=" not in script
            chained = [line for line in script.splitlines() if line.startswith("chain ")]
            if not chained:
                break
            (line,) = chained
            assert "sleep " in script and "asking again" in script
            tries += 1
            assert tries <= 5
            path = (
                f"/v1/boot/ipxe?mac={_mac(0)}&attempt={line.rpartition('attempt=')[2].split()[0]}"
            )
        assert tries == 2
        assert (await lab.get("/healthz")).status == 200  # it lives, and is not restarted
    finally:
        server.start()
    for _ in range(100):
        if "token=" in (script := await lab.script(_mac(0))):
            break
        await asyncio.sleep(0.2)
    assert "token=" in script


@pytest.mark.parametrize("attempt", ["0", "-1", "x", "1e9", "99999999999", "3"])
async def test_a_number_of_attempts_that_is_none_asks_no_machine_for_ever(
    lab: Lab, server: Server, attempt: str
) -> None:
    server.stop()
    try:
        script = await lab.script(_mac(0), f"&attempt={attempt}")
        assert "attempt=" not in script and "sanboot" in script
    finally:
        server.start()
