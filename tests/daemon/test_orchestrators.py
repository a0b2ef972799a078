"""Orchestrators in processes of their own over one PostgreSQL: killed, frozen, and all at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from goosed_daemon.state import State
from goosed_daemon.state.migrate import migrate
from goosed_daemon.workflow import begin, observe, rows
from goosed_daemon.workflow import steps as s
from tests.daemon.state_backends import NOW, postgres

STEPS = (s.OFFERED, s.SCRIPT_SERVED, s.FETCHED, s.RENDERED, s.INSTALLING, s.INSTALLED)
MACHINES = 40

# What it is told of goes into a table that takes everything: a repetition would show there. `act`
# happens in the middle of a turn, with rows claimed and nothing committed.
_ORCHESTRATOR = """
import os, signal, sys, time
from datetime import timedelta
from pathlib import Path
from goosed_daemon.errors import StateError
from goosed_daemon.state import postgres as backend
from goosed_daemon.workflow.orchestrator import Orchestrator
from tests.daemon.state_backends import NOW, postgres

backend.IDLE_SECONDS = 2
folder, act, after = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
state = postgres(folder)
told = 0

def tell(transaction, change, now):
    global told
    for fact in change.added:
        transaction.execute(
            "insert into told (workflow, step, by) values (?, ?, ?)",
            (change.workflow.id, fact.step, os.getpid()),
        )
    told += 1
    if told == after and act != "work":
        os.kill(os.getpid(), {"die": signal.SIGKILL, "freeze": signal.SIGSTOP}[act])

orchestrator = Orchestrator(state, (tell,))
print("up", flush=True)
while not (folder / "over").exists():
    try:
        if not orchestrator.turn(NOW + timedelta(minutes=2), limit=5).changes:
            time.sleep(0.02)
    except StateError as error:
        print("lost", error.code, flush=True)
"""


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[State]:
    state = postgres(tmp_path)
    migrate(state, NOW)
    with state.write() as transaction:
        transaction.script("create table told (workflow uuid, step text, by integer)")
    yield state
    state.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str, int], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def begin_one(act: str, after: int = 0) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", _ORCHESTRATOR, str(tmp_path), act, str(after)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin_one
    (tmp_path / "over").touch()
    for process in started:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)
        process.communicate(timeout=60)


def test_one_killed_and_one_frozen_of_three_lose_nothing_and_repeat_nothing(
    shared: State, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    arm(shared)
    dying, freezing, working = start("die", 7), start("freeze", 9), start("work")
    for process in (dying, freezing, working):
        assert process.stdout is not None and process.stdout.readline() == "up\n"
    see(shared)
    assert dying.wait(60) == -signal.SIGKILL
    until(lambda: _status(freezing.pid) == "T")
    until(lambda: waiting(shared) == 0)  # what the frozen one holds is freed by the server
    told = everything_told(shared)
    os.kill(freezing.pid, signal.SIGCONT)
    assert freezing.stdout is not None and freezing.stdout.readline().startswith("lost state-")
    see(shared, boot="t2")  # and it works on, beside the other
    until(lambda: waiting(shared) == 0)
    assert everything_told(shared, boots=2) > told
    states = Counter(one.position.step for one in rows.standings(shared))
    assert states == {s.INSTALLED: MACHINES}


def arm(state: State) -> None:
    for number in range(MACHINES):
        with state.write() as transaction:
            begin(transaction, mac(number), NOW, UUID(int=number + 1))


def see(state: State, boot: str = "t1") -> None:
    later = 0 if boot == "t1" else 30
    for second, step in enumerate(STEPS, later):
        for number in range(MACHINES):
            with state.write() as transaction:
                observe(transaction, mac(number), step, NOW + timedelta(seconds=second), boot)


def mac(number: int) -> str:
    return f"52:54:00:00:00:{number:02x}"


def waiting(state: State) -> int:
    with state.read() as transaction:
        return int(transaction.execute("select count(*) from observations")[0][0])


def everything_told(state: State, boots: int = 1) -> int:
    """How much was told: each step of each machine once per boot, and nothing twice."""
    with state.read() as transaction:
        told = Counter(transaction.execute("select workflow, step from told"))
    expected = {(str(UUID(int=n + 1)), step): boots for n in range(MACHINES) for step in STEPS}
    assert told == expected
    return sum(told.values())


def until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not seen():
        assert time.monotonic() < deadline, "not in two minutes"
        time.sleep(0.05)


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
