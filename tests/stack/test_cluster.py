"""scripts/cluster.sh: a real Kubernetes that runs pods, and leaves nothing of itself."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.observability import ROOT
from tests.parts import in_ci, part
from tests.stack.servers import free_port

CLUSTER = ROOT / "scripts" / "cluster.sh"
NEEDS = (
    "kubernetes", "coredns", "containerd", "ctr", "runc", "socat", "ip", "iptables", "CNI plugins",
    "busybox", "openssl", "unshare",
)  # fmt: skip
NATS = "docker.io/library/nats:2.12.2"
MOUNT = [{"name": "data", "mountPath": "/data"}]
READS = {"command": ["sh", "-c", "cat /etc/resolv.conf /data/x"]}
WRITES = {
    "command": ["sh", "-c", "echo kept >/data/x"],
    "securityContext": {"runAsUser": 10001},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "asks"},
    "spec": {
        "restartPolicy": "Never",
        "initContainers": [{"name": "writes", "image": NATS, "volumeMounts": MOUNT} | WRITES],
        "containers": [{"name": "asks", "image": NATS, "volumeMounts": MOUNT} | READS],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    },
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}

Done: TypeAlias = subprocess.CompletedProcess[str]
Script: TypeAlias = Callable[..., Done]


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    """scripts/cluster.sh over a folder and a port of its own."""
    for name in NEEDS:
        part(name)
    if os.geteuid() != 0:
        why = "a cluster needs root: sudo -E make test-stack runs it"
        pytest.fail(why, pytrace=False) if in_ci() else pytest.skip(why)
    folder = tmp_path_factory.mktemp("cluster") / "at"
    environ = os.environ | {"CLUSTER_FOLDER": str(folder), "CLUSTER_PORT": str(free_port())}

    def run(
        *words: str | Path, script: str | Path = CLUSTER, ok: bool = True, given: str = ""
    ) -> Done:
        command = [str(script), *map(str, words)]
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, input=given, check=False
        )
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done

    assert "hint: " in run("env", ok=False).stderr
    try:
        yield run
    finally:
        run("down")


def test_it_comes_up_runs_a_pod_and_leaves_nothing(
    script: Script, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    groups = {path for path in Path("/sys/fs/cgroup").rglob("goose-cluster-*") if path.is_dir()}
    mounts = Path("/proc/self/mountinfo").read_text()
    plugins = Path("/usr/libexec/kubernetes")
    others = plugins.exists()
    times = {"up": time.monotonic()}
    script("up")
    times["pod"] = time.monotonic()
    assert "is up" in script("up").stderr, "what is up stays as it is"
    words = dict(
        line.removeprefix("export ").split("=", 1) for line in script("env").stdout.splitlines()
    )
    folder = Path(words["KUBECONFIG"]).parents[1]

    def kubectl(*words: str, given: str = "") -> str:
        at = f"--kubeconfig={folder}/pki/admin.conf"
        return script(at, *words, script=folder / "programs" / "kubectl", given=given).stdout

    layout = tmp_path / "images"
    command = [ROOT / "scripts/cluster/images.py", "--out", layout, NATS]
    script(*command, script="python")
    script("load", *layout.iterdir())
    items = {"apiVersion": "v1", "kind": "List", "items": [CLAIM, POD]}
    kubectl("apply", "-f", "-", given=json.dumps(items))
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/asks", "--timeout=90s")
    told = kubectl("logs", "asks")
    assert "nameserver 10.96.0.10\n" in told
    assert told.endswith("kept\n"), "what another user wrote into the volume"
    assert " Ready " in script("status").stdout
    processes = {
        number
        for group in (folder / "groups").read_text().split()
        for members in Path(group).rglob("cgroup.procs")
        for number in members.read_text().split()
    }
    assert len(processes) > 8, "the servers, and what runs the pods"
    times["down"] = time.monotonic()
    script("down")
    times["end"] = time.monotonic()
    assert not folder.exists()
    end = time.monotonic() + 10  # whoever adopted the killed ones takes note of it
    while left := [one for one in processes if (Path("/proc") / one).exists()]:
        assert time.monotonic() < end, left
        time.sleep(0.1)
    assert Path("/proc/self/mountinfo").read_text() == mounts
    now = {path for path in Path("/sys/fs/cgroup").rglob("goose-cluster-*") if path.is_dir()}
    assert now == groups
    assert plugins.exists() == others, "no folder of the machine's"
    spans = itertools.pairwise(times.items())
    said = ", ".join(f"{name} {after - at:.0f} s" for (name, at), (_, after) in spans)
    record_property("table", f"cluster: {said}")


@pytest.mark.parametrize(
    "words", [[], ["start"], ["up", "now"], ["load"]], ids=["none", "other", "more", "less"]
)
def test_what_it_does_not_know_is_said(words: list[str]) -> None:
    done = subprocess.run([CLUSTER, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: this takes one of up, down, env, status")
