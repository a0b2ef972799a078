"""Forks warm processes that run goosectl under the shim, and tells how they ended.

Run as ``python -m tests.disk.server SHIM`` with the shim in LD_PRELOAD; one JSON request a line on
stdin, one answer a line on stdout. It has one thread, so that a fork is a whole process.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import json
import os
import select
import signal
import sys
from typing import Any

WARM = (
    "goosectl.frame",
    "goosectl.bundle.storing",
    "goosectl.bundle.making",
    "goosectl.bundle.repairing",
    "goosectl.store.keeping",
    "goosectl.store.choosing",
    "goosectl.store.looking",
    "bundles.site.ingest",
    "bundles.making.build",
    "bundles.making.recipe",
    "bundles.making.repairbuild",
    "bundles.making.sbom",
    "bundles.store.fsck",
    "bundles.store.gc",
    "bundles.store.s3.store",
    "goosed_daemon.audit",
    "goosed_daemon.state",
)


def main(path: str) -> None:
    shim = ctypes.CDLL(path)
    shim.shim_count.restype = shim.shim_since.restype = ctypes.c_long
    for module in WARM:
        importlib.import_module(module)
    _keep_commands()
    calls = {"warm": warm, "start": start, "wait": wait, "stopped": stopped}
    answer({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        answer(calls[asked.pop("do")](shim, **asked))


def _keep_commands() -> None:
    """Has typer make a noun's verbs once, and not after each fork."""
    import typer.main

    typer.main.get_command = functools.cache(typer.main.get_command)


def answer(said: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def warm(shim: Any, words: list[str], environment: dict[str, str]) -> dict[str, object]:
    """Runs goosectl once in the server, so that what it loads and keeps is there after a fork."""
    from goosectl.main import main as goosectl

    before = dict(os.environ)
    os.environ.update(environment)
    out, sys.stdout = sys.stdout, sys.stderr
    try:
        return {"code": goosectl(["--quiet", *words])}
    finally:
        gc.collect()
        gc.freeze()  # what is here is not looked at, and so not copied, in each child
        sys.stdout = out
        os.environ.clear()
        os.environ.update(before)


def start(shim: Any, told: str, **life: Any) -> dict[str, object]:
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = live(shim, told, **life)
        finally:
            os._exit(code)
    return {"pid": pid}


def live(
    shim: Any,
    told: str,
    words: list[str],
    environment: dict[str, str],
    arm: dict[str, Any] | None,
    prepare: tuple[str, dict[str, Any]] | None,
) -> int:
    """In the child: goosectl, with its output in the files `told`."""
    os.environ.update(environment)
    for stream, end in (("stdout", ".out"), ("stderr", ".err")):
        file = open(told + end, "w")  # noqa: SIM115
        os.dup2(file.fileno(), getattr(sys, stream).fileno())
        setattr(sys, stream, file)
    from goosectl.main import main as goosectl

    if prepare is not None:
        module, _, name = prepare[0].partition(":")
        getattr(importlib.import_module(module), name)(**prepare[1])
    if arm is not None:
        log = -1
        if record := arm.pop("record", None):
            log = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(log, b"begin\t-1\t0\t0\t\t\n")
        shim.shim_arm(
            arm["root"].encode(),
            arm["kinds"],
            arm["deed"],
            ctypes.c_long(arm["at"]),
            arm["error"],
            log,
        )
    code = goosectl(["--json", *words])
    calls, nanoseconds = shim.shim_count(), shim.shim_since()
    shim.shim_disarm()
    sys.stdout.flush()
    sys.stderr.flush()
    with open(told + ".calls", "w") as file:
        file.write(f"{calls} {nanoseconds}")
    return code


def wait(shim: Any, pid: int, after: float | None) -> dict[str, object]:
    """Its end; it is killed `after` seconds."""
    if after is not None:
        handle = os.pidfd_open(pid)
        if not select.select([handle], [], [], after)[0]:
            os.kill(pid, signal.SIGKILL)
        os.close(handle)
    _, status = os.waitpid(pid, 0)
    return {"code": os.waitstatus_to_exitcode(status)}


def stopped(shim: Any, pid: int) -> dict[str, object]:
    """Waits until it is stopped, or has ended: then with its exit code."""
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return {"code": None}
    return {"code": os.waitstatus_to_exitcode(status)}


if __name__ == "__main__":
    main(sys.argv[1])
