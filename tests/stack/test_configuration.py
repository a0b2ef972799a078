"""The files of otel/, judged by the programs that they are for."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.observability import OTEL, rules
from tests.parts import part

ALERTS = sorted(rule["alert"] for rule, _ in rules("alerts.yaml"))
UNIT_TESTS = OTEL / "rules" / "tests" / "alerts.yaml"


def run(*words: object, ok: bool = True) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def prometheus(tmp_path: Path) -> Path:
    """otel/ as somebody lays it out for Prometheus on a plain host."""
    folder = tmp_path / "prometheus"
    shutil.copytree(OTEL, folder)
    (folder / "scrape.d").mkdir()
    return folder


@pytest.mark.parametrize("where", ["host", "cluster"])
def test_prometheus_takes_its_configuration(prometheus: Path, where: str) -> None:
    text = (prometheus / "scrape" / f"{where}.yaml").read_text()
    (prometheus / "ca.crt").write_text("")
    named = re.sub(r"ca_file: \S+", f"ca_file: {prometheus}/ca.crt", text)
    (prometheus / "scrape.d" / f"{where}.yaml").write_text(named)
    told = run(part("promtool"), "check", "config", prometheus / "prometheus.yaml")
    assert "SUCCESS" in told and "2 rule files found" in told


def test_rules_and_alerts_are_well_formed() -> None:
    files = [OTEL / "rules" / name for name in ("recording.yaml", "alerts.yaml")]
    assert "SUCCESS" in run(
        part("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *files
    )


def test_every_alert_fires_and_resolves() -> None:
    told: dict[str, list[bool]] = {name: [] for name in ALERTS}
    for case in yaml.safe_load(UNIT_TESTS.read_text())["tests"]:
        for look in case["alert_rule_test"]:
            told[look["alertname"]].append(bool(look["exp_alerts"]))
    assert {name for name, seen in told.items() if set(seen) != {True, False}} == set()
    assert "SUCCESS" in run(part("promtool"), "test", "rules", UNIT_TESTS)


def test_an_alert_that_never_fires_fails_its_unit_test(prometheus: Path) -> None:
    alerts = prometheus / "rules" / "alerts.yaml"
    text = alerts.read_text()
    assert 'up{job="goosed"} == 0' in text
    alerts.write_text(text.replace('up{job="goosed"} == 0', 'up{job="gosed"} == 0'))
    told = run(part("promtool"), "test", "rules", prometheus / "rules/tests/alerts.yaml", ok=False)
    assert "GoosedDown" in told


def test_the_collector_takes_its_configuration() -> None:
    run(part("otelcol"), "validate", "--config", OTEL / "collector.yaml")


def test_the_collector_refuses_a_component_that_it_has_not(tmp_path: Path) -> None:
    text = (OTEL / "collector.yaml").read_text()
    text = text.replace("exporters: [prometheus, debug]", "exporters: [prometheus, logging]")
    (tmp_path / "collector.yaml").write_text(text)
    assert "logging" in run(
        part("otelcol"), "validate", "--config", tmp_path / "collector.yaml", ok=False
    )


def test_loki_takes_its_configuration() -> None:
    run(part("loki"), "-config.file", OTEL / "loki.yaml", "-config.expand-env", "-verify-config")


def test_tempo_takes_its_configuration() -> None:
    """By Tempo 1.5, which can be built here: docs/observability.md says what that leaves open."""
    run(part("tempo"), "-config.file", OTEL / "tempo.yaml", "-config.verify")


def test_tempo_refuses_a_key_that_there_is_not(tmp_path: Path) -> None:
    (tmp_path / "tempo.yaml").write_text((OTEL / "tempo.yaml").read_text() + "storages: {}\n")
    told = run(part("tempo"), "-config.file", tmp_path / "tempo.yaml", "-config.verify", ok=False)
    assert "storages" in told
