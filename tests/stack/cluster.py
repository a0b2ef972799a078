"""scripts/cluster.sh over a folder and a port of its own, and what is asked of its cluster."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.observability import ROOT
from tests.parts import in_ci, part
from tests.stack.servers import free_port

NAMESPACE = "goose"
SCRIPT = ROOT / "scripts" / "cluster.sh"
NATS = "docker.io/library/nats:2.12.2"  # an image that has a shell as well
_NEEDS = (
    "kubernetes", "coredns", "containerd", "ctr", "runc", "socat", "ip", "iptables", "CNI plugins",
    "busybox", "openssl", "unshare",
)  # fmt: skip

Done = subprocess.CompletedProcess[str]


class Cluster:
    """A cluster that may be up or not. `folder` is its own, and gone when it is down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        programs = f"{Path(sys.executable).parent}:{folder}/programs:{os.environ['PATH']}"
        self._environ = os.environ | {
            "CLUSTER_FOLDER": str(folder),
            "CLUSTER_PORT": str(self.port),
            "KUBECONFIG": str(folder / "pki" / "admin.conf"),
            "PATH": programs,
            "PYTHON": sys.executable,
        }

    def run(self, *words: object, ok: bool = True, given: str = "") -> Done:
        """A command with this cluster's kubectl and KUBECONFIG. It must succeed, or with `ok` false
        fail."""
        done = subprocess.run(
            [str(word) for word in words],
            env=self._environ,
            capture_output=True,
            text=True,
            input=given,
            check=False,
        )
        assert (done.returncode == 0) == ok, f"{words}\n{done.stdout}{done.stderr}"
        return done

    def script(self, *words: object, ok: bool = True) -> Done:
        """scripts/cluster.sh."""
        return self.run(SCRIPT, *words, ok=ok)

    def kubectl(self, *words: object, given: str = "", namespace: str = NAMESPACE) -> str:
        """What kubectl prints."""
        return self.run("kubectl", "--namespace", namespace, *words, given=given).stdout

    def get(self, *words: object, namespace: str = NAMESPACE) -> Any:
        """What kubectl gets, as it is in the API."""
        return json.loads(self.kubectl("get", *words, "-o", "json", namespace=namespace))

    def helm(self, *words: object) -> str:
        """What helm prints, in the namespace."""
        return self.run(part("helm"), "--namespace", NAMESPACE, *words).stdout

    def goosectl(self, *words: object) -> Any:
        """What goosectl answers in a process of the API's."""
        command = ("exec", "deployment/goosed-api", "-c", "goosed", "--", "goosectl", "--json")
        return json.loads(self.kubectl(*command, *words))

    @property
    def node(self) -> int:
        """The first process of the node, whose namespaces are the node's."""
        parent = (self.folder / "node.pid").read_text().split()[0]
        return int(Path(f"/proc/{parent}/task/{parent}/children").read_text())

    def inside(self) -> list[str]:
        """Before a command's words: it then runs in the node's network."""
        return ["nsenter", f"--net=/proc/{self.node}/ns/net", "--"]

    @contextmanager
    def forwarded(self, service: str, port: int) -> Iterator[int]:
        """A port of loopback that leads to a service."""
        command = ["kubectl", "--namespace", NAMESPACE, "port-forward", f"service/{service}"]
        process = subprocess.Popen(
            [*command, f":{port}"], env=self._environ, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            told = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) ", process.stdout.readline())
            assert told is not None
            yield int(told[1])
        finally:
            process.kill()
            process.communicate()


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """One that is down at the end, whatever happens. Skips, in CI fails, where none can run."""
    for name in _NEEDS:
        part(name)
    if os.geteuid() != 0:
        why = "a cluster needs root: sudo -E make test-stack runs it"
        pytest.fail(why, pytrace=False) if in_ci() else pytest.skip(why)
    made = Cluster(folder)
    try:
        yield made
    finally:
        made.script("down")


def until(what: str, seconds: float, ask: Any) -> Any:
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < end, f"not in {seconds:g} seconds: {what}"
        time.sleep(0.5)
    return found
