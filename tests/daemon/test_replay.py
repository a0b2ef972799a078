"""Responses that do not arrive: what a client that lost its file sees, what its next boot gets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from goosed_daemon import audit
from goosed_daemon.errors import TokenUsed
from goosed_daemon.state import State
from goosed_daemon.token_key import TokenKey
from goosed_daemon.token_refusals import MAX_EVENTS, Refused
from goosed_daemon.tokens import Tokens
from tests.daemon.state_backends import KEY, MAC, NOW, TTL
from tests.daemon.test_web_boot import render
from tests.daemon.web_site import PROFILES, Lab, running

HERE, THERE = "192.0.2.7", "192.0.2.66"
WINDOW = timedelta(seconds=30)
SECOND = timedelta(seconds=1)


@pytest.fixture
def windowed(state: State) -> Tokens:
    return Tokens(state, TokenKey(KEY), TTL, replay_window=WINDOW)


def kinds(state: State) -> list[str]:
    return [event.kind for event in audit.events(state)]


def test_an_exact_retry_within_the_window_is_told_the_same(windowed: Tokens, state: State) -> None:
    secret = windowed.issue(MAC, NOW, TTL, "operator").secret
    assert windowed.claim(secret, NOW, HERE, "digest").replays == 0
    for again in (1, 2):
        token = windowed.claim(secret, NOW + WINDOW - SECOND, HERE, "digest")
        assert (token.replays, token.used_at, token.refusals) == (again, NOW, 0)
    assert kinds(state)[-3:] == ["token-claimed", "token-replayed", "token-replayed"]


@pytest.mark.parametrize(
    ("after", "address", "digest"),
    [
        (WINDOW, HERE, "digest"),
        (SECOND, THERE, "digest"),
        (SECOND, HERE, "other"),
        (SECOND, HERE, None),
    ],
    ids=["too late", "another address", "other bytes", "bytes unknown"],
)
def test_what_is_no_exact_retry_is_refused(
    windowed: Tokens, after: timedelta, address: str, digest: str | None
) -> None:
    secret = windowed.issue(MAC, NOW, TTL, "operator").secret
    windowed.claim(secret, NOW, HERE, "digest")
    with pytest.raises(TokenUsed):
        windowed.claim(secret, NOW + after, address, digest)
    assert windowed.tokens()[0].refusals == 1


def test_without_a_window_nothing_is_told_again_not_even_to_who_asked_first(
    tokens: Tokens,
) -> None:
    """A request that was slow has a time before that of the one that won."""
    secret = tokens.issue(MAC, NOW, TTL, "operator").secret
    tokens.claim(secret, NOW, HERE, "digest")
    for at in (NOW - SECOND, NOW, NOW + SECOND):
        with pytest.raises(TokenUsed):
            tokens.claim(secret, at, HERE, "digest")


def test_replays_without_end_do_not_fill_the_log(windowed: Tokens, state: State) -> None:
    secret = windowed.issue(MAC, NOW, TTL, "operator").secret
    for _ in range(MAX_EVENTS + 5):
        windowed.claim(secret, NOW, HERE, "digest")
    assert kinds(state).count("token-replayed") == MAX_EVENTS
    assert windowed.tokens()[0].replays == MAX_EVENTS + 4


def test_a_replay_lets_no_second_agent_enrol(windowed: Tokens, state: State) -> None:
    secret = windowed.issue(MAC, NOW, TTL, "operator").secret
    for _ in range(3):
        windowed.claim(secret, NOW, HERE, "digest", NOW + TTL)
    assert kinds(state).count("enrolment-issued") == 1


def test_refusals_recorded_together_are_those_recorded_one_by_one(
    tokens: Tokens, state: State
) -> None:
    secret = tokens.issue(MAC, NOW, TTL, "operator").secret
    token = tokens.claim(secret, NOW, HERE, "digest")
    refused = [Refused(token, TokenUsed("used"), NOW, HERE)] * (MAX_EVENTS - 3)
    for _ in range(3):
        tokens.refuse(refused)
    assert kinds(state).count("token-refused") == MAX_EVENTS
    assert tokens.tokens()[0].refusals == 3 * (MAX_EVENTS - 3)


@pytest.fixture
async def lenient(tmp_path: Path) -> AsyncIterator[Lab]:
    """A daemon with a replay window."""
    async with running(tmp_path, GOOSED_REPLAY_WINDOW="30s") as lab:
        yield lab


def break_off(lab: Lab, secret: str, after: int) -> None:
    """Asks for the file; resets the connection after that many bytes of the answer."""
    host, _, port = lab.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        path = f"/v1/render/kickstart?token={secret}"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        received = 0
        while received < after:
            received += len(client.recv(after - received))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("after", [1, 200, 1000])
async def test_a_response_broken_off_used_the_token_and_the_next_boot_gets_a_new_one(
    lab: Lab, after: int
) -> None:
    lab.arm(tries=2)
    secret = await lab.token()
    await asyncio.to_thread(break_off, lab, secret, after)
    assert (await render(lab, secret))[0] == 410
    second = await lab.token()
    assert second != secret
    assert (await render(lab, second))[0] == 200
    assert "has used up the tries" in await lab.script()


async def test_a_response_broken_off_is_told_again_within_the_window(lenient: Lab) -> None:
    lenient.arm()
    secret = await lenient.token()
    await asyncio.to_thread(break_off, lenient, secret, 100)
    first = await render(lenient, secret)
    assert first[0] == 200 and first == await render(lenient, secret)
    assert (await render(lenient, secret, "HEAD"))[0] == 200
    assert await lenient.metric('goosed_tokens_total{outcome="replayed",reason=""}') == 2
    lenient.clock.forward(WINDOW)
    assert (await render(lenient, secret))[0] == 410
    assert (await render(lenient, secret, "HEAD"))[0] == 410


async def test_a_file_that_would_differ_is_not_told_again(
    lenient: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goosed_daemon.web.current.LOOK_EVERY", 0.0)
    lenient.arm()
    secret = await lenient.token()
    assert (await render(lenient, secret))[0] == 200
    lenient.write_profiles(PROFILES.replace("name: lab\n", "name: lab\ntimezone: Europe/Berlin\n"))
    assert (await render(lenient, secret, "HEAD"))[0] == 410
    assert (await render(lenient, secret))[0] == 410
    lenient.write_profiles(PROFILES)
    assert (await render(lenient, secret))[0] == 200


async def test_a_client_that_is_gone_before_its_turn_uses_no_token(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.arm()
    secret = await lab.token()
    held = asyncio.Event()
    look = lab.deps.tokens.look

    def slow(asked: str) -> object:
        found = look(asked)
        asyncio.run_coroutine_threadsafe(held.wait(), loop).result(20)
        return found

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(lab.deps.tokens, "look", slow)
    await asyncio.to_thread(break_off, lab, secret, 0)
    await asyncio.sleep(0.2)  # the daemon hears of the reset
    held.set()
    monkeypatch.setattr(lab.deps.tokens, "look", look)
    status = 0
    async with asyncio.timeout(20):
        status, _ = await render(lab, secret)
    assert status == 200
