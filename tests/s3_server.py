"""A real S3 server for tests: versitygw, which checks signatures, conditions and checksums."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from minio import Minio

from bundles.store import S3Address
from tests.parts import part

ACCESS, SECRET, REGION = "goose-tests", "a-secret-of-the-tests", "us-east-1"


class S3Server:
    """A server over a folder, always on the same port, that can be killed and started again."""

    def __init__(self, folder: Path, certificate: tuple[Path, Path] | None = None) -> None:
        self._folder, self._certificate = folder, certificate
        self._process: subprocess.Popen[bytes] | None = None
        self._buckets = itertools.count(1)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.endpoint = f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it, and returns once it answers."""
        data, facts = self._folder / "data", self._folder / "facts"
        for folder in (data, facts):
            folder.mkdir(parents=True, exist_ok=True)
        options = ["--port", self.endpoint, "--quiet", "--keep-alive", "--region", REGION]
        if self._certificate is not None:
            options += ["--cert", str(self._certificate[0]), "--key", str(self._certificate[1])]
        self._process = subprocess.Popen(
            # Beside the objects, since not every file system has extended attributes.
            [part("versitygw"), *options, "posix", "--sidecar", facts, data],
            env={**os.environ, "ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, "the S3 server ended"
                assert time.monotonic() < deadline, "the S3 server does not listen"
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def bucket(self) -> S3Address:
        """A new bucket."""
        name = f"goose-{next(self._buckets)}"
        self.client().make_bucket(name)
        return S3Address(self.endpoint, name, ACCESS, SECRET, secure=False)

    def copy(self, address: S3Address) -> S3Address:
        """A new bucket with the objects of another, copied behind the server's back."""
        made = self.bucket()
        for kind in ("data", "facts"):
            shutil.copytree(
                self._folder / kind / address.bucket,
                self._folder / kind / made.bucket,
                dirs_exist_ok=True,
            )
        return made

    def client(self) -> Minio:
        """A plain client, to look and to spoil."""
        return Minio(self.endpoint, ACCESS, SECRET, secure=False, region=REGION)


@contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    """A server of one's own."""
    server = S3Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def environment(address: S3Address) -> dict[str, str]:
    """The settings that make a command use `address`."""
    return {
        "S3_ENDPOINT": address.endpoint,
        "S3_BUCKET": address.bucket,
        "S3_ACCESS_KEY": address.access_key,
        "S3_SECRET_KEY": address.secret_key,
        "S3_SECURE": "true" if address.secure else "false",
    }


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], S3Server]]:
    """The S3 server that tests share, started when the first asks for it."""
    with ExitStack() as stack:
        servers: list[S3Server] = []

        def server() -> S3Server:
            if not servers:
                folder = tmp_path_factory.mktemp("s3")
                servers.append(stack.enter_context(running(folder)))
            return servers[0]

        yield server
