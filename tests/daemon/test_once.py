"""The promise of the boot token, over the wire: of a thousand renders at once, through two
daemons that share a PostgreSQL, exactly one is answered."""

from __future__ import annotations

import re
import selectors
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from goosed_daemon import token_key
from goosed_daemon.home import Home
from goosed_daemon.state import open_state
from goosed_daemon.tokens import Tokens
from tests.daemon.content import make_store
from tests.daemon.postgres import database
from tests.daemon.state_backends import MAC
from tests.daemon.test_web_serve import connection, daemon
from tests.daemon.web_site import FILES, PROFILES
from tests.parts import in_ci

RENDERS = 1000
TOKENS = 100 if in_ci() else 10  # in a row
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)\r\n")


class Machines:
    """Clients that are connected before they ask, and ask all at once: plain sockets, so that what
    is measured out is the daemons' time and not the clients'."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        self._selector = selectors.DefaultSelector()
        for each in sockets:
            self._selector.register(each, selectors.EVENT_READ)

    def render(self, secret: str) -> Counter[int]:
        """The statuses of one request from each, all sent before any answer is read."""
        request = f"GET /v1/render/kickstart?token={secret} HTTP/1.1\r\nHost: goose\r\n\r\n"
        for each in self._sockets:
            each.sendall(request.encode())
        waiting = dict.fromkeys(self._sockets, b"")
        found: Counter[int] = Counter()
        while waiting:
            ready = self._selector.select(timeout=120)
            assert ready, f"{len(waiting)} requests were not answered"
            for key, _ in ready:
                client = key.fileobj
                assert isinstance(client, socket.socket)
                data = client.recv(1 << 16)
                assert data and client in waiting, "a connection was closed"
                waiting[client] += data
                if (status := _status(waiting[client])) is not None:
                    found[status] += 1
                    del waiting[client]
        return found

    def close(self) -> None:
        self._selector.close()


def _status(answer: bytes) -> int | None:
    """The status of an answer that is there to its last byte."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return None
    length = _LENGTH.search(head + b"\r\n")
    assert length is not None, head
    return int(head.split()[1]) if len(body) >= int(length[1]) else None


@contextmanager
def machines(*urls: str) -> Iterator[Machines]:
    """`RENDERS` clients, as many of each daemon."""
    with ExitStack() as closing:
        sockets = [
            closing.enter_context(connection(urls[number % len(urls)])) for number in range(RENDERS)
        ]
        clients = Machines(sockets)
        closing.callback(clients.close)
        yield clients


@pytest.mark.timeout(900)
def test_of_a_thousand_renders_through_two_daemons_one_is_answered(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "site.yaml").write_text(PROFILES)
    make_store(tmp_path / "store", FILES)
    dsn, home, now = database(tmp_path), Home(tmp_path), datetime.now(UTC)
    state = open_state(home, dsn, now)
    tokens = Tokens(state, token_key.load(home.token_key), timedelta(hours=1))
    # All machines have one address here.
    environ = {"DB_DSN": dsn, "GOOSED_RATE_ADDRESS": "none", "GOOSED_RATE_MACHINE": "none"}
    with (
        open(tmp_path / "log", "w") as log,
        daemon(tmp_path, log=log.fileno(), **environ) as (_, one),
        daemon(tmp_path, log=log.fileno(), **environ) as (_, two),
        machines(one, two) as clients,
    ):
        for _ in range(TOKENS):
            secret = tokens.issue(MAC, now, timedelta(hours=1), "operator").secret
            assert clients.render(secret) == {200: 1, 410: RENDERS - 1}
    with state.read() as transaction:
        rows = transaction.execute("select used, refusals from tokens")
    state.close()
    assert rows == [(True, RENDERS - 1)] * TOKENS
