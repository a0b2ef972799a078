"""Every object that the charts make, as the apiserver of a real Kubernetes judges it.

`--validate=strict` has it refuse whatever its OpenAPI schemas do not know, a field given twice too;
in a dry run it judges values and runs admission as for a real one, and keeps nothing.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
import yaml

from tests.observability import ROOT
from tests.parts import in_ci, part
from tests.stack.charts import cases, named, render
from tests.stack.servers import free_port

NEEDS = ("kubernetes", "coredns", "containerd", "ctr", "runc", "socat", "ip", "iptables", "unshare")
#: The server warns of pods that it would not let in, since in a dry run none are made. The one kind
#: that is not Kubernetes's own is here with the fields that a chart may set, as the reference of
#: cert-manager.io/v1 has them.
GIVEN = """
apiVersion: v1
kind: Namespace
metadata: {name: goose, labels: {pod-security.kubernetes.io/warn: restricted}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: certificates.cert-manager.io}
spec:
  group: cert-manager.io
  scope: Namespaced
  names: {kind: Certificate, plural: certificates}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          required: [spec]
          properties:
            spec:
              type: object
              required: [issuerRef, secretName]
              properties:
                secretName: {type: string}
                dnsNames: {type: array, items: {type: string}}
                issuerRef:
                  type: object
                  required: [name]
                  properties:
                    name: {type: string}
                    kind: {type: string}
                    group: {type: string}
"""

Done: TypeAlias = subprocess.CompletedProcess[str]
Kubectl: TypeAlias = Callable[..., Done]


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """`kubectl` with text to read, in a cluster of its own."""
    for name in (*NEEDS, "CNI plugins", "openssl"):
        part(name)
    if os.geteuid() != 0:
        why = "a cluster needs root: sudo -E make test-stack runs it"
        pytest.fail(why, pytrace=False) if in_ci() else pytest.skip(why)
    folder = tmp_path_factory.mktemp("cluster") / "at"
    environ = os.environ | {"CLUSTER_FOLDER": str(folder), "CLUSTER_PORT": str(free_port())}

    def script(word: str) -> None:
        command = [ROOT / "scripts/cluster.sh", word]
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def run(given: str, *words: str) -> Done:
        at = ["--kubeconfig", folder / "pki/admin.conf"]
        command: list[str | Path] = [folder / "programs/kubectl", *at, *words, "-f", "-"]
        return subprocess.run(command, input=given, capture_output=True, text=True)

    try:
        script("up")
        for given, words in (
            (GIVEN, ["apply"]),
            (GIVEN.partition("---")[2], ["wait", "--for=condition=Established"]),
        ):
            done = run(given, *words)
            assert done.returncode == 0, done.stderr
        yield run
    finally:
        script("down")


def judged(kubectl: Kubectl, objects: list[dict[str, object]]) -> Done:
    text = yaml.safe_dump_all(objects)
    return kubectl(text, "apply", "--namespace=goose", "--dry-run=server", "--validate=strict")


@pytest.mark.parametrize(("chart", "values"), cases(), ids=[named(case) for case in cases()])
def test_the_apiserver_takes_every_object(
    kubectl: Kubectl, chart: str, values: tuple[str, ...]
) -> None:
    objects = render(chart, *values)
    done = judged(kubectl, objects)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("created (server dry run)") == len(objects)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"replica": 2}, 'unknown field "spec.replica"'),
        ({"replicas": "two"}, "spec.replicas"),
        ({"selector": {"matchLabels": {"other": "label"}}}, "spec.template.metadata.labels"),
    ],
    ids=["a field that there is not", "a word for a number", "what selects nothing"],
)
def test_it_refuses(kubectl: Kubectl, change: dict[str, object], why: str) -> None:
    (first, *_) = [one for one in render("goosed") if one["kind"] == "Deployment"]
    first["spec"] |= change
    done = judged(kubectl, [first])
    assert done.returncode != 0
    assert why in done.stderr


def test_it_warns_of_a_pod_that_would_not_be_let_in(kubectl: Kubectl) -> None:
    (first, *_) = [one for one in render("goosed") if one["kind"] == "Deployment"]
    first["spec"]["template"]["spec"]["hostNetwork"] = True
    assert "would violate PodSecurity" in judged(kubectl, [first]).stderr
