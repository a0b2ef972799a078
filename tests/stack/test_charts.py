"""What the charts make, before any cluster sees it."""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from pathlib import Path

import pytest
import yaml

from goosed_daemon import install_key, token_key
from goosed_daemon.home import Home
from goosed_daemon.setting_table import TABLE
from tests.observability import DASHBOARDS, OTEL
from tests.stack.charts import (
    CHARTS,
    DEV,
    NAMES,
    cases,
    containers,
    helm,
    named,
    pods,
    render,
)

ALL = pytest.mark.parametrize(("chart", "values"), cases(), ids=[named(case) for case in cases()])
SPLIT = ("-f", CHARTS / "goosed" / "ci" / "split-values.yaml")


@ALL
def test_helm_finds_nothing_to_complain_of(chart: str, values: tuple[str, ...]) -> None:
    if chart == "goose":
        render(chart)  # builds its dependencies
    helm("lint", "--strict", CHARTS / chart, *values)


@ALL
def test_every_pod_keeps_to_the_restricted_standard(chart: str, values: tuple[str, ...]) -> None:
    """Pod Security Standards, "restricted", and a root file system that nothing writes to."""
    for name, pod in pods(render(chart, *values)):
        assert pod["automountServiceAccountToken"] is False, name
        of_pod = pod["securityContext"]
        assert of_pod["runAsNonRoot"] is True and of_pod["runAsUser"] > 0, name
        assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not pod.get("hostNetwork") and not pod.get("hostPID"), name
        assert all("hostPath" not in volume for volume in pod["volumes"]), name
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["requests"] and container["resources"]["limits"], name


@ALL
def test_every_ingress_is_tls(chart: str, values: tuple[str, ...]) -> None:
    for one in render(chart, *values):
        if one["kind"] == "Ingress":
            hosts = {rule["host"] for rule in one["spec"]["rules"]}
            covered = {host for tls in one["spec"]["tls"] for host in tls["hosts"]}
            assert hosts and hosts <= covered
            assert all(tls["secretName"] for tls in one["spec"]["tls"])


def test_there_are_ingresses_to_look_at() -> None:
    found = [
        one
        for chart, values in cases()
        for one in render(chart, *values)
        if one["kind"] == "Ingress"
    ]
    assert {one["metadata"]["name"] for one in found} == {"goosed", "grafana"}


@ALL
def test_one_registry_moves_every_image(chart: str, values: tuple[str, ...]) -> None:
    moved = render(chart, *values, "--set", "global.imageRegistry=registry.site:5000/")
    for name, pod in pods(moved):
        for container in containers(pod):
            host, _, rest = container["image"].partition("/")
            assert host == "registry.site:5000", name
            first, slash, _ = rest.partition("/")
            assert not (slash and "." in first), f"{name}: two registries in one name"


@ALL
def test_no_image_is_whatever_is_newest(chart: str, values: tuple[str, ...]) -> None:
    for name, pod in pods(render(chart, *values)):
        for container in containers(pod):
            tag = container["image"].rpartition(":")[2]
            assert tag and tag not in ("latest", "main") and "/" not in tag, name


def test_a_digest_pins_an_image() -> None:
    digest = "sha256:" + "a" * 64
    for chart in ("goosed", "nats"):
        objects = render(chart, "--set", f"image.digest={digest}")
        assert all(
            container["image"].endswith(f"@{digest}")
            for _, pod in pods(objects)
            for container in containers(pod)
        )


@ALL
def test_what_is_referred_to_is_there(chart: str, values: tuple[str, ...]) -> None:
    """Volumes, Secrets and ConfigMaps that the chart itself names as its own."""
    objects = render(chart, *values)
    made = {(one["kind"], one["metadata"]["name"]) for one in objects}
    assert max(Counter((o["kind"], o["metadata"]["name"]) for o in objects).values()) == 1
    for name, pod in pods(objects):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in containers(pod):
            for mount in container.get("volumeMounts", ()):
                claims = ("data",) if name.startswith("StatefulSet") else ()
                assert mount["name"] in (*volumes, *claims), f"{name}: {mount['name']}"
        for volume in volumes.values():
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in made, name
    for one in objects:
        if one["kind"] == "Service":
            selector = one["spec"]["selector"]
            templates = [o["spec"]["template"] for o in objects if o["kind"] in ("Deployment",
                         "StatefulSet")]  # fmt: skip
            chosen = [t for t in templates if selector.items() <= t["metadata"]["labels"].items()]
            assert len(chosen) == 1, one["metadata"]["name"]
            ports = {p["name"] for c in chosen[0]["spec"]["containers"] for p in c["ports"]}
            assert {port["targetPort"] for port in one["spec"]["ports"]} <= ports
        if one["kind"] == "HorizontalPodAutoscaler":
            target = one["spec"]["scaleTargetRef"]
            assert (target["kind"], target["name"]) in made


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (("split=true",), "database"),
        (("split=true", "database.dsn=postgresql://u@h/d"), "s3"),
        (("split=true", "s3.endpoint=s3:1", "s3.accessKey=a", "s3.secretKey=b"), "database"),
        (("image.digest=sha256:short",), "digest"),
        (("s3.endpoint=https://s3",), "endpoint"),
        (("nats.url=http://nats",), "nats"),
        (("replicas=3",), "replicas"),
    ],
)
def test_what_cannot_work_is_refused(values: tuple[str, ...], what: str) -> None:
    """Above all several processes, which SQLite and a folder cannot hold together."""
    words = [word for value in values for word in ("--set", value)]
    assert what in helm("template", "goose", CHARTS / "goosed", *words, ok=False)


def test_apart_each_role_is_a_deployment_of_the_one_image() -> None:
    objects = render("goosed", *SPLIT)
    found = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]["containers"][0]
        for one in objects
        if one["kind"] == "Deployment"
    }
    roles = {name: {e["name"]: e.get("value") for e in c["env"]} for name, c in found.items()}
    assert {name: env["GOOSED_ROLES"] for name, env in roles.items()} == {
        "goosed-bootd": "bootd",
        "goosed-api": "api",
        "goosed-orchestrator": "orchestrator",
    }
    assert len({container["image"] for container in found.values()}) == 1
    (boot,) = (
        o for o in objects if o["kind"] == "Service" and o["metadata"]["name"] == "goosed-boot"
    )
    assert boot["spec"]["externalTrafficPolicy"] == "Local"
    assert {o["kind"] for o in objects} >= {"Job", "HorizontalPodAutoscaler", "NetworkPolicy",
        "PodDisruptionBudget", "Ingress", "ServiceAccount"}  # fmt: skip


def test_every_key_is_made_that_is_only_read_from_a_secret() -> None:
    (secret,) = (o for o in render("goosed") if o["metadata"]["name"] == "goosed-keys")
    home = Home(Path("/var/lib/goose"))
    made = {name: len(b64decode(text)) for name, text in secret["data"].items()}
    assert made == {home.token_key.name: token_key.SIZE, home.install_key.name: install_key.SIZE}


@ALL
def test_every_variable_is_a_setting(chart: str, values: tuple[str, ...]) -> None:
    known = {setting.variable for setting in TABLE} | {"GOOSE_HOME", "SSL_CERT_FILE"}
    for name, pod in pods(render(chart, *values)):
        for container in pod["containers"]:
            if container["name"] in ("goosed", "migrate"):
                assert {variable["name"] for variable in container["env"]} <= known, name


def test_the_stack_is_configured_by_the_files_of_the_repository() -> None:
    objects = render("goosed-observability")
    maps = {o["metadata"]["name"]: o["data"] for o in objects if o["kind"] == "ConfigMap"}
    dashboards = {name: json.loads(text) for name, text in maps["grafana-dashboards"].items()}
    assert dashboards == {p.name: json.loads(p.read_text()) for p in DASHBOARDS.glob("*.json")}
    assert sum(map(len, maps["grafana-dashboards"].values())) < 1_000_000, "what a ConfigMap holds"
    for name, file in {
        "collector": "collector.yaml",
        "prometheus": "prometheus.yaml",
        "loki": "loki.yaml",
        "tempo": "tempo.yaml",
    }.items():
        assert yaml.safe_load(maps[name][file]) == yaml.safe_load((OTEL / file).read_text())
    (grafana,) = (pod for name, pod in pods(objects) if name.endswith("/grafana"))
    at = {m["name"]: m["mountPath"] for m in grafana["containers"][0]["volumeMounts"]}
    assert at["grafana-dashboards"] == "/var/lib/grafana/dashboards"
    (provider,) = yaml.safe_load(maps["grafana-provider"]["dashboards.yaml"])["providers"]
    assert provider["options"]["path"] == at["grafana-dashboards"]


def test_prometheus_scrapes_services_that_there_are() -> None:
    (jobs,) = (
        yaml.safe_load(o["data"]["cluster.yaml"])["scrape_configs"]
        for o in render("goosed-observability")
        if o["kind"] == "ConfigMap" and o["metadata"]["name"] == "prometheus-scrape"
    )
    services = {
        o["metadata"]["name"]: o["spec"]
        for chart, values in (("goosed", SPLIT), ("goosed-observability", ()))
        for o in render(chart, *values)
        if o["kind"] == "Service"
    }
    (goosed,) = (job for job in jobs if job["job_name"] == "goosed")
    (found,) = goosed["dns_sd_configs"]
    for name in found["names"]:
        assert services[name]["clusterIP"] == "None"
        assert services[name]["ports"][0]["port"] == found["port"]
    for job in jobs:
        for target in (t for s in job.get("static_configs", ()) for t in s["targets"]):
            host, _, port = target.partition(":")
            if host != "127.0.0.1":
                assert int(port) in {p["port"] for p in services[host]["ports"]}


def test_in_a_lab_prometheus_asks_without_tls() -> None:
    (text,) = (
        o["data"]["cluster.yaml"]
        for o in render("goosed-observability", "--set", "lab=true")
        if o["kind"] == "ConfigMap" and o["metadata"]["name"] == "prometheus-scrape"
    )
    assert "https" not in text and "tls_config" not in text
    assert yaml.safe_load(text)["scrape_configs"][0]["dns_sd_configs"][0]["port"] == 8080


def test_the_development_values_lead_to_the_development_charts() -> None:
    objects = render("goose", "-f", DEV)
    services = {
        o["metadata"]["name"]: {port["port"] for port in o["spec"]["ports"]}
        for o in objects
        if o["kind"] == "Service"
    }
    values = yaml.safe_load(DEV.read_text())["goosed"]
    for address in (
        values["database"]["dsn"].partition("@")[2].partition("/")[0],
        values["nats"]["url"].partition("//")[2],
        values["s3"]["endpoint"],
        values["otlp"]["endpoint"].partition("//")[2],
    ):
        host, _, port = address.partition(":")
        assert int(port) in services[host]
    secrets = {
        o["metadata"]["name"]: o.get("stringData", {}) for o in objects if o["kind"] == "Secret"
    }
    assert secrets["goosed-connections"]["S3_SECRET_KEY"] == secrets["s3"]["S3_SECRET_KEY"]


def test_every_chart_has_a_schema_and_one_version() -> None:
    versions = set()
    for name in (*NAMES, "goose"):
        told = yaml.safe_load((CHARTS / name / "Chart.yaml").read_text())
        versions.add(told["version"])
        if name != "goose":
            json.loads((CHARTS / name / "values.schema.json").read_text())
    assert len(versions) == 1
