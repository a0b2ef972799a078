"""All of Goose on a real Kubernetes, as helm installs it: each part that stops is named, a machine
boots from it, an upgrade loses no request, and an uninstall leaves what holds data."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.conftest import INFRA
from tests.integration.qemu import Machine
from tests.integration.site import Site
from tests.integration.test_agent import MAC, made
from tests.integration.test_boot import qemu_parts
from tests.integration.transcript import in_order, unbroken
from tests.observability import DASHBOARDS, OTEL, ROOT
from tests.stack.charts import CHARTS, DEV, helm
from tests.stack.cluster import NAMESPACE, NATS, Cluster, cluster, until

pytestmark = pytest.mark.timeout(1200)  # seconds; an install takes two minutes on an idle machine

HERE = ROOT / "scripts" / "cluster"
SMOKE = ROOT / "scripts" / "smoke.sh"
NODE = "10.201.0.1"
BOOTD, API, BOOT = f"https://{NODE}:30443", f"https://{NODE}:30444", f"http://{NODE}:30080"
FILES = ("-f", DEV, "-f", HERE / "values.yaml")
VALUES = (
    "--set-file", rf"goosed.infra.site\.yaml={INFRA}",
    "--set", "goosed.env.GOOSED_RATE_ADDRESS=none,goosed.env.GOOSED_RATE_MACHINE=none",
    "--set", "goosed.env.GOOSED_AGENT_INTERVAL=10s",
)  # fmt: skip
# What is stopped, and what the smoke test then says of it.
PARTS = {
    "deployment/goosed-api": "goosed-api: no way to it",
    "deployment/goosed-bootd": "goosed-bootd: no way to it",
    "deployment/goosed-orchestrator": "goosed-orchestrator: no way to it",
    "deployment/collector": "collector: no way to it",
    "statefulset/prometheus": "prometheus: no way to it",
    "statefulset/loki": "loki: no way to it",
    "statefulset/tempo": "tempo: no way to it",
    "statefulset/postgresql": "goosed-api /readyz: 503",
    "statefulset/s3": "goosed-bootd /readyz: 503",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, str]]:
    """A cluster with all of Goose, in a namespace that takes restricted pods only, and what was
    said while it was installed."""
    with cluster(tmp_path_factory.mktemp("installed") / "at") as made:
        made.script("up")
        made.kubectl("create", "namespace", NAMESPACE)
        enforced = "pod-security.kubernetes.io/enforce=restricted"
        made.kubectl("label", "namespace", NAMESPACE, enforced)
        yield made, made.run(HERE / "install.sh", *VALUES).stderr


@pytest.fixture(scope="module")
def on(installed: tuple[Cluster, str]) -> Cluster:
    return installed[0]


@pytest.fixture(scope="module")
def site(on: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """What an operator has at hand: media, keys, and the ways to the state and the store."""
    qemu_parts("bios")
    with ExitStack() as stopping:
        sql = stopping.enter_context(on.forwarded("postgresql", 5432))
        s3 = stopping.enter_context(on.forwarded("s3", 7070))
        yield made(
            tmp_path_factory.mktemp("operator"),
            DB_DSN=f"postgresql://goose:goose@127.0.0.1:{sql}/goose",
            S3_ENDPOINT=f"127.0.0.1:{s3}",
            S3_BUCKET="goose",
            S3_SECURE="false",
            S3_ACCESS_KEY="goose",
            S3_SECRET_KEY="goose-development",
        )


def smoke(on: Cluster, *, ok: bool = True) -> str:
    done = on.run("env", "SMOKE_PATIENCE=20", SMOKE, "--namespace", NAMESPACE, ok=ok)
    return done.stdout + done.stderr


def settled(on: Cluster) -> None:
    """Every deployment and stateful set has what it wants."""
    for one in on.get("deployments,statefulsets")["items"]:
        name = f"{one['kind'].lower()}/{one['metadata']['name']}"
        on.kubectl("rollout", "status", name, "--timeout=180s")


def upgrade(on: Cluster, *words: object) -> None:
    command = ("upgrade", "--install", "goose", CHARTS / "goose", *FILES, *VALUES, *words)
    on.helm(*command, "--wait", "--timeout", "5m")


def deployed(on: Cluster, name: str) -> dict[str, str]:
    """The variables of a deployment of goosed, those with a value."""
    (container,) = on.get(f"deployment/{name}")["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def authority(on: Cluster) -> bytes:
    """That of goosed's certificate."""
    return b64decode(on.get("secret/goosed-tls")["data"]["ca.crt"])


@contextmanager
def asked(on: Cluster, *urls: str) -> Iterator[dict[str, int]]:
    """Asks for these URLs for as long as the block lasts; then how often each outcome was seen."""
    ca = on.folder / "goosed-ca.crt"
    ca.write_bytes(authority(on))
    command = [*on.inside(), sys.executable, "-m", "tests.stack.asker", str(ca), *urls]
    outcomes: dict[str, int] = {}
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield outcomes
        told, _ = process.communicate(timeout=60)
        outcomes.update(json.loads(told))
    finally:
        process.kill()
        process.wait()


def test_one_command_brings_all_of_it_up_and_it_answers(
    installed: tuple[Cluster, str], record_property: Callable[[str, object], None]
) -> None:
    on, said = installed
    assert "a working stack after" in said
    record_property("table", said)
    told = smoke(on)
    assert told.endswith("all of it answers\n")
    assert told.count("ok ") == 2 * 3 + 3 + 3, told
    pods = on.get("pods")["items"]
    images = {c["image"] for pod in pods for c in pod["spec"]["containers"]}
    assert len(images) == 8, "seven servers and goosed"
    migrated = [pod for pod in pods if pod["status"]["phase"] == "Succeeded"]
    assert [pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in migrated] == [
        "migrate"
    ]


def test_metrics_of_every_process_reach_prometheus(on: Cluster) -> None:
    with on.forwarded("prometheus", 9090) as port:
        url = f"http://127.0.0.1:{port}/api/v1/query?query=up"

        def down() -> Any:
            done = on.run("curl", "-sf", url)
            found = json.loads(done.stdout)["data"]["result"]
            values = {(s["metric"]["job"], s["metric"]["instance"]): s["value"][1] for s in found}
            return len(values) == 8 and set(values.values()) == {"1"}

        until("three processes of goosed, and five jobs of the stack", 90, down)


@pytest.mark.parametrize("part", PARTS)
def test_a_service_that_is_stopped_is_named(on: Cluster, part: str) -> None:
    on.kubectl("scale", part, "--replicas=0")
    try:
        on.kubectl("rollout", "status", part, "--timeout=120s")
        name = part.partition("/")[2]
        chosen = ("pods", "-l", f"app.kubernetes.io/name={name}")
        if name.startswith("goosed-"):
            chosen = ("pods", "-l", f"app.kubernetes.io/component={name[7:]}")
        until("its pod is gone", 120, lambda: not on.get(*chosen)["items"])
        assert f"failed: {PARTS[part]}" in smoke(on, ok=False)
    finally:
        on.kubectl("scale", part, "--replicas=1")
        on.kubectl("rollout", "status", part, "--timeout=180s")
        settled(on)


def test_all_of_it_is_over_what_it_went_through(on: Cluster) -> None:
    assert smoke(on).endswith("all of it answers\n")


def test_grafana_would_find_its_dashboards_and_data_sources(on: Cluster) -> None:
    """Its server cannot be had here: a shell in its place, with its pod as it is otherwise."""
    objects = yaml.safe_load_all(helm("template", "goose", CHARTS / "goose", "-f", DEV))
    (grafana,) = (
        one
        for one in objects
        if one and one["kind"] == "StatefulSet" and one["metadata"]["name"] == "grafana"
    )
    spec = grafana["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    container |= {"image": NATS, "command": ["sleep", "600"]}
    del container["readinessProbe"], container["livenessProbe"]
    spec["volumes"].append({"name": "data", "emptyDir": {}})
    spec["terminationGracePeriodSeconds"] = 0
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "in-its-place"}, "spec": spec}
    secret = ("secret", "generic", "grafana-admin")
    on.kubectl("create", *secret, "--from-literal=admin-user=a", "--from-literal=admin-password=b")
    try:
        on.kubectl("apply", "-f", "-", given=json.dumps(pod))
        on.kubectl("wait", "--for=condition=Ready", "pod/in-its-place", "--timeout=60s")

        def read(path: str) -> Any:
            return yaml.safe_load(on.kubectl("exec", "in-its-place", "--", "cat", path))

        provisioning = "/etc/grafana/provisioning"
        (provider,) = read(f"{provisioning}/dashboards/dashboards.yaml")["providers"]
        folder = provider["options"]["path"]
        for dashboard in DASHBOARDS.glob("*.json"):
            assert read(f"{folder}/{dashboard.name}") == json.loads(dashboard.read_text())
        sources = read(f"{provisioning}/datasources/datasources.yaml")
        assert sources == yaml.safe_load((OTEL / "grafana" / "datasources.yaml").read_text())
        for source in sources["datasources"]:  # each leads to a service that there is
            host, _, port = source["url"].removeprefix("http://").partition(":")
            ports = on.get(f"service/{host}")["spec"]["ports"]
            assert int(port) in [one["port"] for one in ports]
        on.kubectl("exec", "in-its-place", "--", "sh", "-c", "mkdir /var/lib/grafana/writes")
    finally:
        on.kubectl("delete", "pod/in-its-place", "secret/grafana-admin", "--ignore-not-found")


def test_a_machine_installs_itself_from_the_cluster_while_it_is_upgraded(
    on: Cluster, site: Site, tmp_path: Path
) -> None:
    on.goosectl("machine", "arm", "with-bios")
    urls = (
        f"{BOOT}/v1/boot/ipxe?mac=52:54:00:10:00:04",
        f"{BOOTD}/v1/artifacts/site-base/site/motd",
        f"{API}/healthz",
    )
    before = deployed(on, "goosed-bootd")
    with asked(on, *urls) as outcomes:
        with Machine(
            "bios", mac=MAC, bootfile=f"{BOOT}/boot.ipxe", scratch=tmp_path, memory_mb=768,
            within=on.inside(),
        ) as machine:  # fmt: skip
            machine.wait_for("guest: reported: started", seconds=600)
            upgrade(on, "--set", "goosed.env.GOOSED_AGENT_INTERVAL=11s")
            machine.wait_for("goose-agent: enrolled as", seconds=900)

            def ready() -> Any:
                return on.goosectl("workflow", "show", "with-bios")["state"] == "ready"

            until("the machine is ready", 120, ready)
            screen = machine.screen
        after = deployed(on, "goosed-bootd")
    assert before | {"GOOSED_AGENT_INTERVAL": "11s"} == after
    assert {words.rpartition(" ")[2] for words in outcomes} == {"200"}, outcomes
    assert {words.rpartition(" ")[0] for words in outcomes} == set(urls)
    assert all(count > 100 for count in outcomes.values()), outcomes
    in_order(
        unbroken(screen),
        f"goose: {MAC} asks {BOOT}",
        "goose: with-bios is about to be installed",
        "guest: reported: started",
        "guest: reported: installed",
        f"goose-agent: enrolled as {MAC}",
    )
    assert smoke(on).endswith("all of it answers\n")


def test_containerd_pulls_an_image_that_came_in_a_bundle(
    on: Cluster, site: Site, tmp_path: Path
) -> None:
    on.run("python", HERE / "images.py", "--out", tmp_path / "images", NATS)
    (layout,) = (tmp_path / "images").iterdir()
    recipe = tmp_path / "platform.yaml"
    recipe.write_text(
        "apiVersion: goose/v1\nkind: Bundle\nname: platform\nversion: 2026.11.1\naudience: any\n"
        f"contents:\n  - image: oci:{layout}:2.12.2\n    as: library/nats\n"
    )
    media = tmp_path / "media"
    key = site.folder / "keys" / "release"
    site.goosectl("bundle", "build", recipe, "--key", key, "--out", media)
    site.goosectl("bundle", "import", media)
    host = BOOTD.removeprefix("https://")
    trusted = on.folder / "registries" / host
    trusted.mkdir()
    (trusted / "ca.crt").write_bytes(authority(on))
    (trusted / "hosts.toml").write_text(
        f'server = "{BOOTD}"\n[host."{BOOTD}"]\n  capabilities = ["pull", "resolve"]\n'
        f'  ca = "/run/cluster/registries/{host}/ca.crt"\n'
    )
    image = f"{host}/platform/library/nats:2.12.2"
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "nats", "image": image, "args": ["--version"], "securityContext": security}
    spec = {
        "restartPolicy": "Never",
        "containers": [container | {"imagePullPolicy": "Always"}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pulled"}, "spec": spec}
    on.kubectl("apply", "-f", "-", given=json.dumps(pod))
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    on.kubectl("wait", ended, "pod/pulled", "--timeout=90s")
    assert on.kubectl("logs", "pulled").startswith("nats-server: v")
    on.kubectl("delete", "pod/pulled")


def test_a_roll_back_is_as_it_was(on: Cluster) -> None:
    upgrade(on, "--set", "goosed.env.GOOSED_AGENT_INTERVAL=12s")
    history = json.loads(on.helm("history", "goose", "--output", "json"))
    before = history[-2]["revision"]
    on.helm("rollback", "goose", before, "--wait", "--timeout", "5m")
    assert deployed(on, "goosed-api")["GOOSED_AGENT_INTERVAL"] != "12s"
    assert smoke(on).endswith("all of it answers\n")


def test_an_upgrade_adds_the_key_that_an_older_secret_lacks(on: Cluster) -> None:
    kept = on.get("secret/goosed-keys")["data"]["token.key"]
    lacking = json.dumps([{"op": "remove", "path": "/data/install.key"}])
    on.kubectl("patch", "secret/goosed-keys", "--type=json", f"--patch={lacking}")
    upgrade(on)
    now = on.get("secret/goosed-keys")["data"]
    assert now["token.key"] == kept
    assert len(b64decode(now["install.key"])) == 32


def test_what_an_uninstall_leaves_is_what_holds_data_and_an_install_finds_it(on: Cluster) -> None:
    key = on.get("secret/goosed-keys")["data"]["token.key"]
    on.helm("uninstall", "goose", "--wait", "--timeout", "3m")
    kinds = on.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    passing = ("events", "events.events.k8s.io", "leases.coordination.k8s.io")

    def left() -> set[str]:
        found = on.get(",".join(kind for kind in kinds if kind not in passing))["items"]
        return {f"{one['kind']}/{one['metadata']['name']}" for one in found} - {
            "ConfigMap/kube-root-ca.crt",
            "ServiceAccount/default",
        }

    expected = {"Secret/goosed-keys", "Secret/goosed-tls"} | {
        f"PersistentVolumeClaim/data-{name}-0"
        for name in ("postgresql", "nats", "s3", "prometheus", "loki", "tempo")
    }
    until("nothing else is left", 90, lambda: left() <= expected)
    assert left() == expected
    upgrade(on)
    assert on.get("secret/goosed-keys")["data"]["token.key"] == key
    assert on.goosectl("workflow", "show", "with-bios")["state"] == "ready"
    assert smoke(on).endswith("all of it answers\n")
