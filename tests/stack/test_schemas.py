"""Every object that the charts make, as the apiserver of a real Kubernetes judges it.

`--validate=strict` has it refuse whatever its OpenAPI schemas do not know, a field given twice too;
in a dry run it judges values and runs admission as for a real one, and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from tests.stack.charts import cases, named, render
from tests.stack.cluster import NAMESPACE, Cluster, Done, cluster

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
                ipAddresses: {type: array, items: {type: string}}
                issuerRef:
                  type: object
                  required: [name]
                  properties:
                    name: {type: string}
                    kind: {type: string}
                    group: {type: string}
"""


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that knows what is given."""
    with cluster(tmp_path_factory.mktemp("cluster") / "at") as made:
        made.script("up")
        made.kubectl("apply", "-f", "-", given=GIVEN)
        kind = GIVEN.partition("---")[2]
        made.kubectl("wait", "--for=condition=Established", "-f", "-", given=kind)
        yield made


def judged(on: Cluster, objects: list[dict[str, object]], *, ok: bool = True) -> Done:
    words = ("apply", "-f", "-", "--dry-run=server", "--validate=strict")
    text = yaml.safe_dump_all(objects)
    return on.run("kubectl", "--namespace", NAMESPACE, *words, given=text, ok=ok)


@pytest.mark.parametrize(("chart", "values"), cases(), ids=[named(case) for case in cases()])
def test_the_apiserver_takes_every_object(on: Cluster, chart: str, values: tuple[str, ...]) -> None:
    objects = render(chart, *values)
    done = judged(on, objects)
    assert done.stderr == ""
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
def test_it_refuses(on: Cluster, change: dict[str, object], why: str) -> None:
    (first, *_) = [one for one in render("goosed") if one["kind"] == "Deployment"]
    first["spec"] |= change
    assert why in judged(on, [first], ok=False).stderr


def test_it_warns_of_a_pod_that_would_not_be_let_in(on: Cluster) -> None:
    (first, *_) = [one for one in render("goosed") if one["kind"] == "Deployment"]
    first["spec"]["template"]["spec"]["hostNetwork"] = True
    assert "would violate PodSecurity" in judged(on, [first]).stderr
