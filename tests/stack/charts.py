"""The charts, rendered by the real helm."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.observability import ROOT
from tests.parts import part

CHARTS = ROOT / "charts"
NAMES = ("goosed", "goosed-observability", "postgresql", "nats", "s3")
DEV = CHARTS / "goose" / "values-dev.yaml"

Object = dict[str, Any]


def helm(*words: object, ok: bool = True) -> str:
    """What helm prints. With `ok` false it must fail, and its complaint is returned."""
    command = [str(part("helm")), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout if ok else done.stderr


@functools.cache
def built() -> None:
    """Builds the dependencies of the umbrella chart, once."""
    helm("dependency", "build", CHARTS / "goose")


def render(chart: str, *words: object) -> list[Object]:
    """The objects that a chart makes."""
    if chart == "goose":
        built()
    text = helm("template", "goose", CHARTS / chart, "--namespace", "goose", *words)
    return [one for one in yaml.safe_load_all(text) if one]


def cases() -> list[tuple[str, tuple[str, ...]]]:
    """Every chart with its own values and with each file of its folder ci/."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for name in NAMES:
        found.append((name, ()))
        files = sorted((CHARTS / name / "ci").glob("*.yaml"))
        found += [(name, ("-f", str(file))) for file in files]
    return [*found, ("goose", ()), ("goose", ("-f", str(DEV)))]


def named(case: tuple[str, tuple[str, ...]]) -> str:
    """A case in a test's name."""
    return "-".join([case[0], *(Path(word).stem for word in case[1] if word != "-f")])


def pods(objects: list[Object]) -> list[tuple[str, Object]]:
    """The pod specs, each with the kind and name of what makes them."""
    kinds = ("Deployment", "StatefulSet", "Job", "DaemonSet")
    return [
        (f"{one['kind']}/{one['metadata']['name']}", one["spec"]["template"]["spec"])
        for one in objects
        if one["kind"] in kinds
    ]


def containers(pod: Object) -> list[Object]:
    """All containers of a pod."""
    return [*pod.get("initContainers", ()), *pod["containers"]]
