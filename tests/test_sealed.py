"""scripts/sealed.sh: what looks for a network is told of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.parts import part

SEALED = Path(__file__).resolve().parents[1] / "scripts/sealed.sh"


def sealed(*command: str) -> tuple[int, str]:
    part("unshare")
    done = subprocess.run([SEALED, *command], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_what_stays_on_loopback_passes() -> None:
    talk = "import socket; s = socket.create_server(('127.0.0.1', 0)); "
    talk += "socket.create_connection(s.getsockname()).sendall(b'here')"
    code, said = sealed("python3", "-c", talk)
    assert (code, said) == (0, "sealed: 0 packets left, 0 had no route\n")


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_a_try_to_reach_out_is_counted_and_fails_even_a_command_that_does_not_mind(
    address: str,
) -> None:
    code, said = sealed("bash", "-c", f"(exec 3<>/dev/tcp/{address}/80) 2>/dev/null || true")
    assert code == 1
    assert "sealed: 0 packets left, 1 had no route\nerror: it looked for a network" in said


def test_the_exit_code_of_the_command_is_kept() -> None:
    assert sealed("bash", "-c", "exit 7")[0] == 7
