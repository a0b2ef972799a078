from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bundles.store import Store
from tests import s3_server
from tests.bundles.store_backends import BACKENDS, Backend, opened
from tests.s3_server import S3Server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], S3Server]]:
    """The S3 server that tests share, started when the first asks for it."""
    with ExitStack() as stack:
        servers: list[S3Server] = []

        def server() -> S3Server:
            if not servers:
                folder = tmp_path_factory.mktemp("s3")
                servers.append(stack.enter_context(s3_server.running(folder)))
            return servers[0]

        yield server


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path, s3: Callable[[], S3Server]) -> Backend:
    return BACKENDS[request.param](tmp_path, s3)


@pytest.fixture
def store(backend: Backend) -> Store:
    return opened(backend)
