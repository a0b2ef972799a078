"""Every expression of every panel, rule and alert, asked of the real servers while a real site
works: what is empty or no number fails."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from pathlib import Path

from tests.observability import Expression, panel_expressions, rule_expressions
from tests.stack.rack import ROLES, Rack
from tests.stack.servers import Stack, ask

PATIENCE = 90.0  # seconds from the first request to the last series


def asked() -> list[Expression]:
    """What panels and rules ask, and of an alert what it compares."""
    found = list(panel_expressions())
    for expression in rule_expressions():
        if expression.where.startswith("alerts"):
            found += [
                Expression(f"{expression.where} {number}", expression.source, text)
                for number, text in enumerate(operands(expression.text), 1)
            ]
        else:
            found.append(expression)
    return found


def operands(alert: str) -> list[str]:
    """The vectors that an alert compares: healthy sites have them too."""
    alert = re.sub(r"^absent\((.*)\)$", r"\1", alert)
    parts, depth, begin = [], 0, 0
    for match in re.finditer(r"[({]|[)}]| and | (?:>|<|==) ", alert + " and "):
        sign = match[0].strip()
        depth += (sign in "({") - (sign in ")}")
        if depth == 0 and sign not in "(){}":
            parts.append(alert[begin : match.start()].strip())
            begin = match.end()
    return [part for part in parts if not re.fullmatch(r"[\d.* ]+", part)]


def samples(stack: Stack, expression: Expression) -> int:
    """How many series or lines the answer has. None of them may be no number."""
    if expression.source == "loki":
        return sum(len(stream["values"]) for stream in stack.lines(expression.filled))
    answer = stack.query(expression.filled)
    return sum(not math.isnan(float(series["value"][1])) for series in answer)


def test_an_alert_is_taken_apart_to_what_it_compares() -> None:
    assert operands('up{job="goosed"} == 0') == ['up{job="goosed"}']
    assert operands("absent(up)") == ["up"]
    assert operands('a:b > 14.4 * 0.001 and c{d=~"e|f"} > 1') == ["a:b", 'c{d=~"e|f"}']
    assert operands("min(x > 0) - time() < 14 * 86400") == ["min(x > 0) - time()"]


def test_every_panel_rule_and_alert_has_an_answer(
    site: tuple[Stack, Rack], record_property: Callable[[str, object], None]
) -> None:
    stack, _ = site
    table: dict[str, tuple[Expression, int]] = {}
    end = time.monotonic() + PATIENCE
    waiting = asked()
    while waiting and time.monotonic() < end:
        for expression in list(waiting):
            if found := samples(stack, expression):
                table[expression.where] = (expression, found)
                waiting.remove(expression)
        time.sleep(1)
    lines = ["| panel, rule or alert | expression | samples |", "|---|---|---|"]
    for where, (expression, found) in sorted(table.items()):
        lines.append(f"| {where} | `{' '.join(expression.filled.split())}` | {found} |")
    record_property("table", "\n".join(lines))
    assert [(one.where, one.filled) for one in waiting] == []


def test_a_misspelt_metric_has_none(site: tuple[Stack, Rack]) -> None:
    stack, _ = site
    assert samples(stack, Expression("a panel", "prometheus", "sum(goosed_tokens_totl)")) == 0
    assert samples(stack, Expression("a panel", "loki", '{service_name="goosd-api"}')) == 0


def test_a_trace_id_of_a_line_is_found_in_tempo(site: tuple[Stack, Rack]) -> None:
    stack, _ = site
    end = time.monotonic() + 60
    while True:
        streams = stack.lines('{service_name="goosed-orchestrator"} |= "machine moved"')
        ids = {stream["stream"].get("trace_id") for stream in streams} - {None}
        for trace in sorted(ids)[:5]:
            if (found := stack.trace(trace)) and "installation" in found:
                return
        assert time.monotonic() < end, ids
        time.sleep(1)


def test_an_exemplar_leads_to_its_trace(site: tuple[Stack, Rack]) -> None:
    stack, _ = site
    url = stack.url("prometheus") + "/api/v1/query_exemplars"
    end = time.monotonic() + 60
    while True:
        now = time.time()
        span = {"start": str(now - 300), "end": str(now)}
        _, text = ask(url, query="http_server_duration_seconds_bucket", **span)
        ids = [
            one["labels"]["trace_id"]
            for series in json.loads(text)["data"]
            for one in series["exemplars"]
        ]
        if any(stack.trace(trace) for trace in ids[:20]):
            return
        assert time.monotonic() < end, ids
        time.sleep(1)


def test_the_log_of_no_process_tells_of_an_accident(site: tuple[Stack, Rack]) -> None:
    _, rack = site
    for role in ROLES:
        assert "Traceback" not in Path(rack.folder / f"{role}.log").read_text()
