"""scripts/smoke.sh on a plain host: it finds what answers, and names what does not."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.observability import ROOT
from tests.stack.rack import ROLES, Rack
from tests.stack.servers import Stack

SMOKE = ROOT / "scripts" / "smoke.sh"
STACK = {
    "collector": "the collector takes traces",
    "tempo": "the trace in Tempo",
    "loki": "the line in Loki",
    "prometheus": "the metric in Prometheus",
}


def smoke(stack: Stack, rack: Rack, patience: int = 30) -> tuple[int, str]:
    words = [str(SMOKE), "--ca", str(rack.ca), "--collector", stack.url("otlp")]
    for role in ROLES:
        words += ["--host", rack.urls[role]]
    for name in ("prometheus", "loki", "tempo"):
        words += [f"--{name}", stack.url(name)]
    environ = os.environ | {"SMOKE_TIMEOUT": "2", "SMOKE_PATIENCE": str(patience)}
    done = subprocess.run(words, env=environ, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@contextmanager
def frozen(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Takes connections, as its kernel does, and answers nothing."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_all_of_it_answers(site: tuple[Stack, Rack]) -> None:
    code, told = smoke(*site)
    assert code == 0, told
    assert told.endswith("all of it answers\n")
    assert told.count("ok ") == 2 * len(ROLES) + 3 + 3


@pytest.mark.parametrize("role", ROLES)
def test_a_service_that_does_not_answer_is_named(site: tuple[Stack, Rack], role: str) -> None:
    stack, rack = site
    with frozen(rack.processes[role]):
        code, told = smoke(stack, rack, 5)
    assert code == 1
    failed = [line for line in told.splitlines() if line.startswith("failed: ")]
    url = rack.urls[role]
    assert [line.split(": no answer")[0] for line in failed] == [
        f"failed: {url} /healthz",
        f"failed: {url} /readyz",
    ]


@pytest.mark.parametrize("name", STACK)
def test_a_server_of_the_stack_that_does_not_answer_is_named(
    site: tuple[Stack, Rack], name: str
) -> None:
    stack, rack = site
    with frozen(stack.processes[name]):
        code, told = smoke(stack, rack, 5)
    assert code == 1
    assert f"failed: {STACK[name]}" in told
    code, told = smoke(stack, rack)
    assert code == 0, f"not over what it went through: {told}"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "nothing to look at"),
        (["--hosts", "x"], "there is no option --hosts"),
        (["--host"], "--host wants a value"),
        (["--host", "http://127.0.0.1:1"], "no answer"),
    ],
)
def test_what_it_cannot_do_is_said(words: list[str], complaint: str) -> None:
    done = subprocess.run([str(SMOKE), *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert complaint in done.stderr
