from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from goosed_daemon.state import State
from goosed_daemon.state.migrate import migrate
from goosed_daemon.token_key import TokenKey
from goosed_daemon.tokens import Tokens
from tests.daemon.state_backends import BACKENDS, KEY, NOW, TTL
from tests.daemon.web_site import Lab, running


@pytest.fixture(params=sorted(BACKENDS))
def open_backend(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], State]:
    """Opens one and the same state, as often as asked."""
    make = BACKENDS[request.param]

    def opened() -> State:
        state = make(tmp_path)
        request.addfinalizer(state.close)
        return state

    return opened


@pytest.fixture
def state(open_backend: Callable[[], State]) -> Iterator[State]:
    state = open_backend()
    migrate(state, NOW)
    yield state
    state.close()


@pytest.fixture
def tokens(state: State) -> Tokens:
    return Tokens(state, TokenKey(KEY), TTL)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with running(tmp_path) as lab:
        yield lab
