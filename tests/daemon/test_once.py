"""The promise of the boot token, over the wire: of a thousand renders at once, through two
daemons that share a PostgreSQL, exactly one is answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientTimeout, TCPConnector

from goosed_daemon import token_key
from goosed_daemon.home import Home
from goosed_daemon.state import open_state
from goosed_daemon.tokens import Tokens
from tests.daemon.content import make_store
from tests.daemon.postgres import database
from tests.daemon.state_backends import MAC
from tests.daemon.test_web_serve import daemon
from tests.daemon.web_site import FILES, PROFILES
from tests.parts import in_ci

RENDERS = 1000
TOKENS = 100 if in_ci() else 5  # in a row; a hundred take minutes


async def renders(urls: list[str], secrets: list[str]) -> list[Counter[int]]:
    """The statuses of `RENDERS` requests for each secret, all of one secret sent at once, half of
    them to each daemon."""
    found = []
    connector = TCPConnector(limit=RENDERS)
    async with ClientSession(connector=connector, timeout=ClientTimeout(120)) as client:

        async def render(number: int, secret: str) -> int:
            url = f"{urls[number % len(urls)]}/v1/render/kickstart?token={secret}"
            async with client.get(url) as response:
                await response.read()
                return response.status

        for secret in secrets:
            statuses = await asyncio.gather(*(render(n, secret) for n in range(RENDERS)))
            found.append(Counter(statuses))
    return found


@pytest.mark.timeout(900)
def test_of_a_thousand_renders_through_two_daemons_one_is_answered(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "site.yaml").write_text(PROFILES)
    make_store(tmp_path / "store", FILES)
    dsn, home, now = database(tmp_path), Home(tmp_path), datetime.now(UTC)
    state = open_state(home, dsn, now)
    tokens = Tokens(state, token_key.load(home.token_key), timedelta(hours=1))
    with (
        open(tmp_path / "log", "w") as log,
        daemon(tmp_path, log=log.fileno(), DB_DSN=dsn) as (_, one),
        daemon(tmp_path, log=log.fileno(), DB_DSN=dsn) as (_, two),
    ):
        for _ in range(TOKENS):
            secret = tokens.issue(MAC, now, timedelta(hours=1), "operator").secret
            [statuses] = asyncio.run(renders([one, two], [secret]))
            assert statuses == {200: 1, 410: RENDERS - 1}
    with state.read() as transaction:
        rows = transaction.execute("select used, refusals from tokens")
    state.close()
    assert rows == [(True, RENDERS - 1)] * TOKENS
