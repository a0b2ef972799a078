"""A real containerd for tests, in a namespace of its own: no root, no service of the machine's."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from tests.parts import part

Ctr: TypeAlias = Callable[..., str]  # what ctr prints; it must succeed

CONFIG = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{folder}/c.sock"
[ttrpc]
  address = "{folder}/t.sock"
"""


@contextmanager
def running(folder: Path) -> Iterator[Ctr]:
    """A containerd over a folder, whose path must be short: it holds a socket."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(CONFIG.format(folder=folder))
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [part("unshare"), "-r", "-m", part("containerd"), "--config", folder / "config.toml"],
        stdout=log,
        stderr=log,
    )

    def ctr(*words: str | Path) -> str:
        command = [part("ctr"), "--address", folder / "c.sock", "--namespace", "k8s.io", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        deadline = time.monotonic() + 30
        while not (folder / "c.sock").exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield ctr
    finally:
        process.terminate()
        process.wait()
        log.close()
