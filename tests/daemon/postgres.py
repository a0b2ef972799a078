"""A real PostgreSQL server for tests: one for the whole run, a database for each folder.

Processes that a test starts find it by the environment, and a folder's database by a file in it.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import psycopg

from tests.parts import part

_VARIABLE = "GOOSE_TEST_POSTGRES"
OWNER, PASSWORD = "goose", secrets.token_hex(16)


class Server:
    """A cluster of its own on a free port of 127.0.0.1, with password authentication."""

    def __init__(self) -> None:
        self._bin = part("initdb").parent
        self.folder = Path(tempfile.mkdtemp(prefix="goose-postgres-"))
        self.port = _free_port()
        self._account: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(self.folder, "postgres")
            self._account = [str(part("setpriv")), "--reuid=postgres", "--regid=postgres"]
            self._account += ["--init-groups", "--"]
        (password := self.folder / "password").write_text(PASSWORD)
        if self._account:
            shutil.chown(password, "postgres")
        self._run("initdb", "-D", self.data, "-U", OWNER, "-A", "scram-sha-256", "--no-sync",
                  "--pwfile", password, "-E", "UTF8", "--locale=C.UTF-8")  # fmt: skip
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        options += " -c fsync=off -c max_connections=200"
        self._run(
            "pg_ctl", "-D", self.data, "-w", "-l", self.folder / "log", "-o", options, "start"
        )

    def stop(self, mode: str = "immediate") -> None:
        """Stops it; `immediate` is as a crash."""
        self._run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    def remove(self) -> None:
        """Ends the server and removes all of it."""
        self.stop()
        shutil.rmtree(self.folder)

    def dsn(self, database: str) -> str:
        return f"postgresql://{OWNER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def _run(self, program: str, *arguments: object) -> None:
        command = [*self._account, str(self._bin / program), *map(str, arguments)]
        with tempfile.TemporaryFile() as said:  # not a pipe: the server would keep it open
            done = subprocess.run(command, stdout=said, stderr=said, cwd="/")
            said.seek(0)
            assert done.returncode == 0, said.read().decode(errors="replace")


@cache
def server() -> str:
    """The connection string of the run's server, without a database."""
    if found := os.environ.get(_VARIABLE):
        return found
    started = Server()
    atexit.register(started.remove)
    os.environ[_VARIABLE] = started.dsn("")
    return started.dsn("")


def database(folder: Path) -> str:
    """The connection string of the database that belongs to `folder`, made when it is new."""
    name = "t" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]
    there = suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation)
    with psycopg.connect(server() + "postgres", autocommit=True) as connection, there:
        connection.execute(f"create database {name}".encode())
    return server() + name


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
