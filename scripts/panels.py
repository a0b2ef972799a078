"""What a dashboard is built of: panels as Grafana's JSON model has them, laid out row by row.

Source: Grafana documentation, "Dashboard JSON model" (schemaVersion 41, Grafana 12). Datasources
are named by the fixed UIDs of otel/grafana/datasources.yaml, so that a file needs no edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SCHEMA = 41
COLUMNS = 24
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
LOKI = {"type": "loki", "uid": "loki"}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """An expression and what its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `width` in columns of 24, `height` in Grafana's rows."""

    title: str
    kind: str
    queries: Sequence[Query]
    text: str  # what it shows, and what to do where it looks bad
    unit: str = "short"
    width: int = 8
    height: int = 8
    warn: float | None = None  # from here on yellow
    bad: float | None = None  # from here on red
    low_is_bad: bool = False
    source: Mapping[str, str] = field(default_factory=lambda: PROMETHEUS)
    mappings: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # value: text, colour
    columns: Mapping[str, str] = field(default_factory=dict)  # of a table: name, title

    def encode(self, number: int, x: int, y: int) -> Json:
        """The panel as JSON, at this place."""
        defaults: Json = {
            "unit": self.unit,
            "thresholds": {"mode": "absolute", "steps": list(self._steps())},
            "color": {"mode": "thresholds" if self.kind == "stat" else "palette-classic"},
        }
        if self.kind == "timeseries":
            defaults["min"] = 0
            marked = self.warn is not None or self.bad is not None
            defaults["custom"] = {
                "drawStyle": "line",
                "fillOpacity": 10,
                "lineWidth": 1,
                "showPoints": "never",
                "thresholdsStyle": {"mode": "dashed" if marked else "off"},
            }
        if self.mappings:
            options = {v: {"text": t, "color": c} for v, (t, c) in self.mappings.items()}
            defaults["mappings"] = [{"type": "value", "options": options}]
        panel: Json = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.text,
            "datasource": dict(self.source),
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [self._target(n, query) for n, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": defaults, "overrides": list(self._overrides())},
            "options": _OPTIONS[self.kind],
        }
        if self.kind == "table":
            panel["transformations"] = [
                {
                    "id": "organize",
                    "options": {
                        "excludeByName": {"Time": True},
                        "renameByName": dict(self.columns),
                    },
                }
            ]
        return panel

    def _target(self, number: int, query: Query) -> Json:
        target: Json = {
            "refId": chr(ord("A") + number),
            "datasource": dict(self.source),
            "expr": query.expr,
            "legendFormat": query.legend,
        }
        if self.source == LOKI:
            return target | {"queryType": "range", "maxLines": 200}
        if self.kind in ("stat", "table"):
            target |= {"instant": True, "range": False}
        else:
            target |= {"range": True, "exemplar": self.kind == "timeseries" and self.unit == "s"}
        if self.kind == "table":
            target["format"] = "table"
        if self.kind == "heatmap":
            target["format"] = "heatmap"
        return target

    def _steps(self) -> Iterator[Json]:
        good, wrong = ("red", "green") if self.low_is_bad else ("green", "red")
        yield {"color": good, "value": None}
        if self.warn is not None:
            yield {"color": "yellow", "value": self.warn}
        if self.bad is not None:
            yield {"color": wrong, "value": self.bad}

    def _overrides(self) -> Iterator[Json]:
        if self.kind == "table" and (self.warn is not None or self.bad is not None):
            yield {
                "matcher": {"id": "byName", "options": self.columns["Value"]},
                "properties": [
                    {"id": "custom.cellOptions", "value": {"type": "color-background"}},
                ],
            }


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of panels."""

    uid: str
    title: str
    text: str
    rows: Sequence[tuple[str, Sequence[Panel]]]  # a title, and what stands below it

    def encode(self) -> Json:
        """The JSON model."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.text,
            "tags": ["goose"],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "15s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "templating": {"list": []},
            "annotations": {"list": []},
            "links": [
                {
                    "type": "dashboards",
                    "tags": ["goose"],
                    "title": "Goose",
                    "asDropdown": True,
                    "keepTime": True,
                    "includeVars": False,
                }
            ],
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[Json]:
        number, y = 0, 0
        for title, panels in self.rows:
            number += 1
            yield {
                "id": number,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
                "panels": [],
            }
            y, x, height = y + 1, 0, 0
            for panel in panels:
                if x + panel.width > COLUMNS:
                    x, y, height = 0, y + height, 0
                number += 1
                yield panel.encode(number, x, y)
                x, height = x + panel.width, max(height, panel.height)
            y += height


_OPTIONS: Mapping[str, Json] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
    "heatmap": {
        "calculate": False,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
        "yAxis": {"unit": "s"},
        "cellGap": 1,
        "legend": {"show": True},
        "tooltip": {"mode": "single", "yHistogram": False},
    },
    "logs": {
        "showTime": True,
        "wrapLogMessage": True,
        "enableLogDetails": True,
        "sortOrder": "Descending",
        "dedupStrategy": "none",
    },
}
