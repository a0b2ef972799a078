from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from minio import Minio

from bundles.store import S3Address, Store
from bundles.store.s3.retry import Retry
from bundles.store.s3.wire import Wire
from tests import s3_server
from tests.bundles.store_backends import BACKENDS, Backend, opened
from tests.s3_server import S3Server


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path, s3: Callable[[], S3Server]) -> Backend:
    return BACKENDS[request.param](tmp_path, s3)


@pytest.fixture
def store(backend: Backend) -> Store:
    return opened(backend)


@pytest.fixture
def address(s3: Callable[[], S3Server]) -> S3Address:
    return s3().bucket()


@pytest.fixture
def client(s3: Callable[[], S3Server]) -> Minio:
    return s3().client()


@pytest.fixture
def wire(address: S3Address) -> Wire:
    return Wire(address, Retry(patience=1))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[S3Server]:
    """A server that the test may kill."""
    with s3_server.running(tmp_path) as server:
        yield server
