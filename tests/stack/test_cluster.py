"""scripts/cluster.sh: a real Kubernetes that runs pods, and leaves nothing of itself."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.observability import ROOT
from tests.stack.cluster import NATS, SCRIPT, Cluster, cluster

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


@pytest.fixture(scope="module")
def down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that is not up yet."""
    with cluster(tmp_path_factory.mktemp("cluster") / "at") as made:
        yield made


def test_it_comes_up_runs_a_pod_and_leaves_nothing(
    down: Cluster, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    assert "hint: " in down.script("env", ok=False).stderr
    mounts = Path("/proc/self/mountinfo").read_text()
    plugins = Path("/usr/libexec/kubernetes")
    others = plugins.exists()
    script = down.script
    times = {"up": time.monotonic()}
    script("up")
    times["pod"] = time.monotonic()
    assert "is up" in script("up").stderr, "what is up stays as it is"
    told = script("env").stdout
    folder = down.folder
    assert f"export KUBECONFIG={folder}/pki/admin.conf\n" in told and f"{folder}/programs" in told
    layout = tmp_path / "images"
    command = [ROOT / "scripts/cluster/images.py", "--out", layout, NATS]
    down.run("python", *command)
    script("load", *layout.iterdir())
    items = {"apiVersion": "v1", "kind": "List", "items": [CLAIM, POD]}
    down.kubectl("apply", "-f", "-", given=json.dumps(items), namespace="default")
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    down.kubectl("wait", ended, "pod/asks", "--timeout=90s", namespace="default")
    told = down.kubectl("logs", "asks", namespace="default")
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
    assert not list(Path("/sys/fs/cgroup").rglob(f"goose-cluster-{down.port}"))
    assert plugins.exists() == others, "no folder of the machine's"
    spans = itertools.pairwise(times.items())
    said = ", ".join(f"{name} {after - at:.0f} s" for (name, at), (_, after) in spans)
    record_property("table", f"cluster: {said}")


@pytest.mark.parametrize(
    "words", [[], ["start"], ["up", "now"], ["load"]], ids=["none", "other", "more", "less"]
)
def test_what_it_does_not_know_is_said(words: list[str]) -> None:
    done = subprocess.run([SCRIPT, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: this takes one of up, down, env, status")
