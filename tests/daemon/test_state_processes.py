"""The daemon and a command share the state file: neither loses sight of the other's writes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from goosed_daemon.state import State
from tests.daemon.state_backends import MAC, NOW

_COMMAND = """
import sys
from pathlib import Path
from tests.daemon.state_backends import BACKENDS
state = BACKENDS[sys.argv[1]](Path(sys.argv[2]))
with state.read() as transaction:
    print(transaction.execute("select count(*) from machines")[0][0])
state.close()
"""


def command(state: State, folder: Path) -> int:
    """A short-lived process that opens the state, counts the machines, and closes it again."""
    words = [sys.executable, "-c", _COMMAND, state.dialect, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return int(done.stdout)


def add(state: State, mac: str) -> None:
    with state.write() as transaction:
        transaction.execute(
            "insert into machines (mac, changed_at, changed_by, reason) values (?, ?, 'me', '')",
            (mac, NOW),
        )


def test_a_command_that_ends_leaves_the_log_of_a_daemon_with_several_threads(
    state: State, tmp_path: Path
) -> None:
    """A process that closes any descriptor of a file loses its locks on it (fcntl(2)), and SQLite
    then takes the last reader that goes for the last there is, and removes the log."""
    with ThreadPoolExecutor(1) as another_thread:
        add(state, MAC)
        another_thread.submit(add, state, "52:54:00:00:00:02").result()
        assert command(state, tmp_path) == 2
        add(state, "52:54:00:00:00:03")
        assert command(state, tmp_path) == 3
