"""The dashboards, rules and alerts, taken apart: each expression and where it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
OTEL = ROOT / "otel"
DASHBOARDS = ROOT / "dashboards"

#: What stands for Grafana's variables where there is no Grafana.
VARIABLES = {"$__rate_interval": "1m", "$__interval": "15s", "$__range": "1h"}
_NAME = re.compile(r"\b(?:goosed_[a-z0-9_]+|http_server_[a-z0-9_]+|goose:[a-z0-9_:]+|up\b)")
_SUFFIX = re.compile(r"_(?:bucket|count|sum)$")


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression, and where somebody who reads of it finds it."""

    where: str
    source: str  # UID of its datasource
    text: str

    @property
    def filled(self) -> str:
        """The text with Grafana's variables filled in."""
        text = self.text
        for name, value in VARIABLES.items():
            text = text.replace(name, value)
        return text

    def names(self) -> set[str]:
        """The metrics and recorded series that it asks for, as they are named in the code."""
        bare = re.sub(r'"[^"]*"', "", self.text)
        return {_SUFFIX.sub("", name) for name in _NAME.findall(bare)}


def dashboards() -> dict[str, Any]:
    """The dashboards by file name."""
    return {path.name: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def panel_expressions(found: dict[str, Any] | None = None) -> Iterator[Expression]:
    """Every expression of every panel."""
    for name, page in (dashboards() if found is None else found).items():
        for panel in page["panels"]:
            for target in panel.get("targets", ()):
                where = f"{name}: {panel['title']} ({target['refId']})"
                yield Expression(where, target["datasource"]["uid"], target["expr"])


def rules(file: str) -> Iterator[tuple[dict[str, Any], Expression]]:
    """The rules of a file in otel/rules, and their expressions."""
    for group in yaml.safe_load((OTEL / "rules" / file).read_text())["groups"]:
        for rule in group["rules"]:
            name = rule.get("record") or rule["alert"]
            yield rule, Expression(f"{file}: {name}", "prometheus", rule["expr"])


def rule_expressions() -> Iterator[Expression]:
    """Every expression of every rule and alert."""
    for file in ("recording.yaml", "alerts.yaml"):
        for _, expression in rules(file):
            yield expression
