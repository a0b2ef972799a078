"""Processes that run goosectl and end when they should not."""

from __future__ import annotations

import enum
import errno
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.parts import part

_SOURCE = Path(__file__).with_name("shim.c")


class Kind(enum.IntFlag):
    """Kinds of calls, as shim.c counts them."""

    CREATE = 1  # open with O_CREAT or O_TRUNC, mkdir, rename, link
    WRITE = 2
    SYNC = 4
    REMOVE = 8
    CUT = 16
    READ = 32  # read, and open for it
    LOOK = 64  # stat, opendir
    CLOSE = 128


CHANGES = Kind.CREATE | Kind.WRITE | Kind.SYNC | Kind.REMOVE | Kind.CUT
TAKES_SPACE = Kind.CREATE | Kind.WRITE | Kind.SYNC | Kind.CUT
ANY = CHANGES | Kind.READ | Kind.LOOK | Kind.CLOSE


class Deed(enum.IntEnum):
    """What happens at the call, as shim.c has them."""

    COUNT = 0
    KILL = 1  # before it
    TEAR = 2  # with half of a write made; before any other call
    STOP = 3
    FAIL = 4  # this call only
    FAIL_ON = (
        5  # this one and all that follow; of the first write that finds no space, half is made
    )
    TIMED = (
        6  # killed by the kernel `at` nanoseconds after the first call, in whatever it does then
    )


@dataclass(frozen=True, slots=True)
class Plot:
    """What happens to calls below the folder `root`: `deed` at call number `at`, counted from 1."""

    root: Path
    deed: Deed = Deed.COUNT
    at: int = 0
    kinds: Kind = CHANGES
    error: int = errno.EIO
    record: Path | None = None

    def request(self) -> dict[str, object]:
        """As the server takes it."""
        return {
            "root": str(self.root),
            "kinds": int(self.kinds),
            "deed": int(self.deed),
            "at": self.at,
            "error": self.error,
            "record": str(self.record) if self.record else None,
        }


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended."""

    code: int  # negative: the signal that killed it
    told: str

    @property
    def calls(self) -> int:
        """How many calls were counted; only of one that was not killed."""
        return self._measured()[0]

    @property
    def nanoseconds(self) -> int:
        """From the first call that was counted to the end; only of one that was not killed."""
        return self._measured()[1]

    def _measured(self) -> tuple[int, int]:
        calls, nanoseconds = Path(self.told + ".calls").read_text().split()
        return int(calls), int(nanoseconds)

    @property
    def result(self) -> dict[str, Any]:
        """What it said on stdout."""
        said: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return said

    @property
    def error(self) -> dict[str, Any]:
        """The error that it told as its last word."""
        said: dict[str, Any] = json.loads(self.err.splitlines()[-1])
        return said

    @property
    def out(self) -> str:
        return Path(self.told + ".out").read_text()

    @property
    def err(self) -> str:
        return Path(self.told + ".err").read_text()


class Life:
    """A process that runs."""

    def __init__(self, lane: Lane, pid: int, told: str) -> None:
        self._lane, self.pid, self._told = lane, pid, told

    def end(self, after: float | None = None) -> End:
        """Waits for its end; kills it `after` seconds."""
        return End(self._lane.ask(do="wait", pid=self.pid, after=after)["code"], self._told)

    def stopped(self) -> bool:
        """Waits until it is stopped; False where it has ended."""
        return self._lane.ask(do="stopped", pid=self.pid)["code"] is None


class Lane:
    """A warm server; its processes can run side by side."""

    def __init__(self, shim: Path, folder: Path) -> None:
        self._folder, self._names = folder, itertools.count()
        environment = {**os.environ, "LD_PRELOAD": str(shim)}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.disk.server", str(shim)],
            env=environment,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def ask(self, **asked: object) -> dict[str, Any]:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        assert line, "the server of processes has ended"
        said: dict[str, Any] = json.loads(line)
        return said

    def start(
        self,
        home: Path,
        *words: str | Path,
        plot: Plot | None = None,
        environment: dict[str, str] | None = None,
        prepare: tuple[str, dict[str, Any]] | None = None,
    ) -> Life:
        """Starts goosectl for the site `home`; `prepare` is called there first, MODULE:FUNCTION
        with its arguments."""
        told = str(self._folder / str(next(self._names)))
        said = self.ask(
            do="start",
            told=told,
            words=[str(word) for word in words],
            environment={"GOOSE_HOME": str(home), **(environment or {})},
            arm=plot.request() if plot else None,
            prepare=prepare,
        )
        return Life(self, said["pid"], told)

    def run(self, home: Path, *words: str | Path, **more: Any) -> End:
        """As `start`, to the end."""
        return self.start(home, *words, **more).end()

    def warm(self, home: Path, *words: str | Path) -> None:
        """Runs goosectl once in the server itself."""
        environment = {"GOOSE_HOME": str(home)}
        said = self.ask(do="warm", words=[str(word) for word in words], environment=environment)
        assert said["code"] == 0

    def close(self) -> None:
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()


@contextmanager
def lanes(folder: Path, count: int = 1) -> Iterator[Sequence[Lane]]:
    """Builds the shim and starts `count` servers."""
    shim = folder / "shim.so"
    command = [part("gcc"), "-shared", "-fPIC", "-O1", "-o", shim, _SOURCE, "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    opened: list[Lane] = []
    try:
        for number in range(count):
            (folder / f"lane{number}").mkdir()
            opened.append(Lane(shim, folder / f"lane{number}"))
        yield opened
    finally:
        for lane in opened:
            lane.close()


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory where there is one: nothing here depends on a real disk."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    folder = Path(tempfile.mkdtemp(prefix="goose-", dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
