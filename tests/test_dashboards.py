"""Dashboards as files: what Grafana would refuse or show as "No data" whatever it is fed."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
import yaml

from goosed_daemon.telemetry import METRICS
from tests.observability import (
    OTEL,
    Expression,
    dashboards,
    panel_expressions,
    rule_expressions,
    rules,
)

PAGES = dashboards()

#: Metrics that no panel, rule or alert shows, and why that is right.
EXCUSED: dict[str, str] = {}

#: What is no metric of the daemon's but is there all the same.
OF_PROMETHEUS = {"up"}


def sources() -> dict[str, dict[str, Any]]:
    told = yaml.safe_load((OTEL / "grafana" / "datasources.yaml").read_text())
    return {source["uid"]: source for source in told["datasources"]}


def panels(page: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in page["panels"] if panel["type"] != "row"]


def test_there_is_a_page_for_each_service_and_one_for_the_site() -> None:
    wanted = {"api.json", "agents.json", "bootd.json", "orchestrator.json", "site.json"}
    assert set(PAGES) == wanted
    assert len({page["uid"] for page in PAGES.values()}) == len(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_panels_neither_overlap_nor_stand_outside(name: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in PAGES[name]["panels"]:
        at = panel["gridPos"]
        assert at["x"] >= 0 and at["x"] + at["w"] <= 24, panel["title"]
        for cell in itertools.product(
            range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
        ):
            assert cell not in taken, f"{panel['title']} lies on {taken[cell]}"
            taken[cell] = panel["title"]
    ids = [panel["id"] for panel in PAGES[name]["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", PAGES)
def test_every_panel_has_words_a_unit_and_a_datasource_that_is_there(name: str) -> None:
    page = PAGES[name]
    assert page["schemaVersion"] == 41
    assert "${DS_" not in str(page) and "__inputs" not in page
    known = sources()
    for panel in panels(page):
        room = panel["gridPos"]["w"] * 53 / 9  # a window of 1280 pixels, 9 for a character
        assert 0 < len(panel["title"]) <= room, panel["title"]
        assert panel["description"] and panel["targets"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        for one in (panel, *panel["targets"]):
            source = known[one["datasource"]["uid"]]
            assert source["type"] == one["datasource"]["type"]


@pytest.mark.parametrize("name", PAGES)
def test_every_variable_is_grafanas_own(name: str) -> None:
    for expression in panel_expressions({name: PAGES[name]}):
        assert "$" not in expression.filled, expression.where
    for panel in panels(PAGES[name]):
        for target in panel["targets"]:
            assert not re.search(r"\$(?!__)", target["legendFormat"])


def test_links_lead_to_what_is_there() -> None:
    for page in PAGES.values():
        (link,) = page["links"]
        assert link["type"] == "dashboards"
        assert all(set(link["tags"]) <= set(other["tags"]) for other in PAGES.values())
    known = sources()
    exemplars = known["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    fields = known["loki"]["jsonData"]["derivedFields"]
    for one in (*exemplars, *fields):
        assert known[one["datasourceUid"]]["type"] == "tempo"
    assert known[known["tempo"]["jsonData"]["tracesToLogsV2"]["datasourceUid"]]["type"] == "loki"


def asked() -> list[Expression]:
    return [*panel_expressions(), *rule_expressions()]


def named(expressions: list[Expression]) -> set[str]:
    return {name for one in expressions if one.source == "prometheus" for name in one.names()}


def recorded() -> set[str]:
    return {rule["record"] for rule, _ in rules("recording.yaml")}


def test_every_metric_that_is_asked_for_is_in_the_code() -> None:
    there = {metric.name for metric in METRICS} | recorded() | OF_PROMETHEUS
    for expression in asked():
        if expression.source == "prometheus":
            assert expression.names() and expression.names() <= there, expression.where


def test_a_misspelt_metric_is_found() -> None:
    wrong = Expression("a panel", "prometheus", "rate(goosed_tokens_totl[1m])")
    assert wrong.names() == {"goosed_tokens_totl"}
    assert not wrong.names() <= {metric.name for metric in METRICS}


def test_every_metric_of_the_code_is_shown_or_excused() -> None:
    shown = named(asked())
    hidden = {metric.name for metric in METRICS} - shown
    assert hidden == set(EXCUSED), "put it on a dashboard, or say in EXCUSED why not"
    assert recorded() <= shown


def test_every_label_that_is_asked_for_is_one_of_the_metric() -> None:
    labels = {metric.name: {*metric.labels, "le", "job", "instance"} for metric in METRICS}
    for expression in asked():
        for name, matchers in re.findall(
            r"\b((?:goosed|http)_[a-z_]+)\{([^}]*)\}", expression.text
        ):
            bare = re.sub(r"_(?:bucket|count|sum)$", "", name)
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
                assert label in labels[bare], expression.where


def test_nothing_of_the_stack_phones_home() -> None:
    loki, tempo = (
        yaml.safe_load((OTEL / f"{name}.yaml").read_text()) for name in ("loki", "tempo")
    )
    assert loki["analytics"]["reporting_enabled"] is False
    assert tempo["usage_report"]["reporting_enabled"] is False
    for path in OTEL.rglob("*.yaml"):
        for host in re.findall(r"https?://([^/:\s\"]+)", path.read_text()):
            assert host in ("loki", "tempo", "prometheus", "collector"), f"{path.name}: {host}"
    telemetry = yaml.safe_load((OTEL / "collector.yaml").read_text())["service"]["telemetry"]
    assert [*telemetry] == ["metrics"] and [*telemetry["metrics"]["readers"][0]] == ["pull"]


def test_metrics_come_one_way_alone() -> None:
    """Prometheus scrapes the daemon; what the collector exports it would count again."""
    for name in ("host", "cluster"):
        jobs = yaml.safe_load((OTEL / "scrape" / f"{name}.yaml").read_text())["scrape_configs"]
        named = [job["job_name"] for job in jobs]
        assert sorted(named) == ["collector", "goosed", "loki", "otlp", "prometheus", "tempo"]


def test_every_alert_says_what_is_the_matter_and_what_to_do() -> None:
    for rule, _ in rules("alerts.yaml"):
        assert set(rule["annotations"]) == {"summary", "action"}
        assert rule["labels"]["severity"] in ("page", "ticket")
