"""Events reach subscribers of a real NATS server: all of them, whatever happens to the server."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import nats
import pytest
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from goosed_daemon import machines, outbox
from goosed_daemon.state import State
from goosed_daemon.web import orchestration, publisher
from goosed_daemon.workflow import observe
from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.orchestrator import Orchestrator
from tests.daemon.state_backends import MAC, NOW
from tests.daemon.web_site import Lab, running
from tests.nats_server import NatsServer, decentralised

SCHEMA = json.loads(Path("docs/events/machine.schema.json").read_text())
STEPS = (s.OFFERED, s.SCRIPT_SERVED, s.FETCHED, s.RENDERED, s.INSTALLING, s.INSTALLED)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "_RETRY", (0.1,))
    monkeypatch.setattr(publisher, "IDLE", 0.05)
    monkeypatch.setattr(orchestration, "IDLE", 0.05)


def install(state: State, mac: str, boot: str = "t1") -> None:
    """Everything that is seen of one machine, for an orchestrator to take up."""
    machines.arm(state, mac, 3, NOW, "operator")
    with state.write() as transaction:
        for minute, step in enumerate(STEPS):
            observe(transaction, mac, step, NOW + timedelta(minutes=minute), boot)


async def until(seen: Callable[[], bool]) -> None:
    for _ in range(1200):
        if seen():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("not in a minute")


async def received(url: str, number: int, **options: Any) -> list[dict[str, Any]]:
    """The events in the stream, read as any consumer would, once there are `number`."""
    client = await nats.connect(url, **options)
    try:
        js = client.jetstream()
        for _ in range(1200):
            with suppress(NotFoundError):  # the daemon makes the stream
                if (await js.stream_info(publisher.STREAM)).state.messages >= number:
                    break
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)  # and no more than that
        total = (await js.stream_info(publisher.STREAM)).state.messages
        reader = await js.pull_subscribe(
            publisher.SUBJECTS,
            stream=publisher.STREAM,
            config=ConsumerConfig(deliver_policy=DeliverPolicy.ALL),
        )
        found = []
        while len(found) < total:
            for message in await reader.fetch(min(100, total - len(found)), timeout=30):
                event = json.loads(message.data)
                found.append(event | {"_subject": message.subject})
                await message.ack()
        return found
    finally:
        await client.close()


@pytest.fixture
async def site(tmp_path: Path, server: NatsServer) -> AsyncIterator[Lab]:
    async with running(tmp_path / "site", NATS_URL=f"nats://127.0.0.1:{server.port}") as lab:
        yield lab


def url(server: NatsServer) -> str:
    return f"nats://127.0.0.1:{server.port}"


async def test_a_subscriber_gets_every_step_as_a_cloud_event(site: Lab, server: NatsServer) -> None:
    async with orchestration.running(site.deps):
        install(site.deps.state, MAC)
        await until(lambda: outbox.depth(site.deps.state).messages == 0 and _taken(site))
        found = await received(url(server), len(STEPS))
    assert {event["type"].rpartition(".")[2] for event in found} == set(STEPS)
    for event in found:
        jsonschema.validate(event, SCHEMA, format_checker=jsonschema.FormatChecker())
        kind = event["type"].rpartition(".")[2]
        assert event["_subject"] == f"goose.lab.machine.52-54-00-12-34-56.{kind}"
        assert event["source"] == "urn:goose:site:lab" and event["subject"] == MAC
    assert len({event["traceparent"] for event in found}) == 1
    assert await site.metric("goosed_events_sent_total") == len(STEPS)


def _taken(lab: Lab) -> bool:
    with lab.deps.state.read() as transaction:
        return transaction.execute("select count(*) from observations") == [(0,)]


async def test_a_server_that_is_away_holds_nothing_up_and_misses_nothing(
    site: Lab, server: NatsServer
) -> None:
    server.stop()
    async with orchestration.running(site.deps):
        install(site.deps.state, MAC)
        await until(lambda: outbox.depth(site.deps.state).messages == len(STEPS))
        assert (await site.get("/readyz")).status == 200, "the daemon is as ready as before"
        site.clock.forward(timedelta(minutes=20))  # not yet long enough for a step to be overdue
        await asyncio.sleep(0.5)
        assert await site.metric("goosed_outbox_messages") == len(STEPS)
        assert await site.metric("goosed_outbox_age_seconds") >= 1200
        server.start()
        assert len(await received(url(server), len(STEPS))) == len(STEPS)
        await until(lambda: outbox.depth(site.deps.state).messages == 0)


async def test_a_server_killed_in_mid_stream_gets_every_event_once(
    site: Lab, server: NatsServer
) -> None:
    macs = [f"52:54:00:00:{n:02x}:01" for n in range(60)]
    async with orchestration.running(site.deps):
        for number, mac in enumerate(macs):
            install(site.deps.state, mac)
            if number in (15, 35):
                await asyncio.sleep(0.1)
                server.stop()
                await asyncio.sleep(0.3)
                server.start()
        await until(lambda: outbox.depth(site.deps.state).messages == 0 and _taken(site))
        found = await received(url(server), len(macs) * len(STEPS))
    ids = [event["id"] for event in found]
    assert len(ids) == len(set(ids)) == len(macs) * len(STEPS)


async def test_a_publisher_that_died_before_it_could_note_the_servers_word_sends_no_duplicate(
    site: Lab, server: NatsServer
) -> None:
    state = site.deps.state
    async with orchestration.running(site.deps):
        install(state, MAC)
        await received(url(server), len(STEPS))
        await until(lambda: outbox.depth(state).messages == 0)
    # As it would be had the rows not been deleted: the same events wait again.
    with state.write() as transaction:
        transaction.execute("delete from facts")
    install_again = [s.OFFERED, s.SCRIPT_SERVED]
    with state.write() as transaction:
        for minute, step in enumerate(install_again):
            observe(transaction, MAC, step, NOW + timedelta(minutes=minute), "t1")
    Orchestrator(state, (outbox.put,)).turn(NOW)
    assert outbox.depth(state).messages == len(install_again)
    async with orchestration.running(site.deps):
        await until(lambda: outbox.depth(state).messages == 0)
        assert len(await received(url(server), len(STEPS))) == len(STEPS)


async def test_two_publishers_send_each_event_once(site: Lab, server: NatsServer) -> None:
    async with orchestration.running(site.deps), orchestration.running(site.deps):
        for number in range(20):
            install(site.deps.state, f"52:54:00:00:00:{number:02x}")
        found = await received(url(server), 20 * len(STEPS))
    assert len({event["id"] for event in found}) == len(found) == 20 * len(STEPS)


async def test_a_wrong_token_is_told_and_neither_token_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = NatsServer(tmp_path / "nats", "authorization { token: right-one }\n")
    server.start()
    try:
        address = f"127.0.0.1:{server.port}"
        caplog.set_level(logging.DEBUG)
        async with (
            running(tmp_path / "a", NATS_URL=f"nats://wrong-one@{address}") as lab,
            orchestration.running(lab.deps),
        ):
            install(lab.deps.state, MAC)
            await until(lambda: "events wait" in caplog.text)
            await until(lambda: outbox.depth(lab.deps.state).messages == len(STEPS))
        assert "Authorization" in str([record.__dict__ for record in caplog.records])
        assert "wrong-one" not in str([record.__dict__ for record in caplog.records])
        assert "wrong-one" not in repr(lab.deps.settings)
        async with (
            running(tmp_path / "b", NATS_URL=f"nats://right-one@{address}") as lab,
            orchestration.running(lab.deps),
        ):
            install(lab.deps.state, MAC)
            found = await received(url(server), len(STEPS), token="right-one")
        assert len(found) == len(STEPS)
    finally:
        server.stop()


async def test_a_credentials_file_shows_who_the_daemon_is(tmp_path: Path) -> None:
    config, credentials = decentralised(tmp_path)
    server = NatsServer(tmp_path / "nats", config)
    server.start()
    try:
        environ = {"NATS_URL": url(server), "GOOSED_NATS_CREDENTIALS": str(credentials)}
        async with running(tmp_path / "site", **environ) as lab, orchestration.running(lab.deps):
            install(lab.deps.state, MAC)
            found = await received(url(server), len(STEPS), user_credentials=str(credentials))
        assert len(found) == len(STEPS)
    finally:
        server.stop()


async def test_without_an_address_nothing_is_kept_for_anyone(lab: Lab) -> None:
    async with orchestration.running(lab.deps):
        install(lab.deps.state, MAC)
        await until(lambda: _taken(lab))
    assert outbox.depth(lab.deps.state).messages == 0
