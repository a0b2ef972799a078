"""What is not documented fails here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from goosed_daemon import setting_table, telemetry
from goosed_daemon.web.app import routes
from tests.daemon.web_site import Lab

DOCS = Path(__file__).parents[2] / "docs"


async def test_docs_name_exactly_the_routes_there_are(lab: Lab) -> None:
    patterns = re.compile(r":[^}]*}")  # of what a path's variable may be
    there_are = {f"{r.method} {patterns.sub('}', r.path)}" for r in routes(lab.deps)}
    named = set(
        re.findall(r"^## `([A-Z]+ /.*)`$", (DOCS / "http-api.md").read_text(), re.MULTILINE)
    )
    assert named == there_are


@pytest.mark.parametrize(
    ("page", "text"),
    [("settings.md", setting_table.reference()), ("metrics.md", telemetry.reference())],
)
def test_generated_pages_are_up_to_date(page: str, text: str) -> None:
    assert (DOCS / page).read_text() == text, "run `make tidy`"


async def test_every_metric_is_exposed_under_its_declared_name_and_labels(lab: Lab) -> None:
    lab.arm()
    await lab.get(f"/v1/render/kickstart?token={await lab.token()}")
    await lab.get("/v1/artifacts/site-base/rhel9/.treeinfo")
    text = await (await lab.get("/metrics")).text()
    for metric in telemetry.METRICS:
        assert f"# TYPE {metric.name} " in text
        rows = re.findall(rf"^{metric.name}(?:_count)?(?:{{(.*)}})? ", text, re.MULTILINE)
        for labels in rows:
            found = set(re.findall(r'(\w+)="', labels))
            assert found == set(metric.labels)


async def test_codes_in_the_docs_are_codes_that_exist(lab: Lab) -> None:
    import goosed_daemon.infra.mac
    from bundles.errors import known_errors

    del goosed_daemon
    codes = {cls.code for cls in known_errors()}
    page = (DOCS / "http-api.md").read_text()
    tables = [line for line in page.splitlines() if line.startswith("|")]
    named = {code for line in tables for code in re.findall(r"`([a-z]+-[a-z-]+)`", line)}
    assert named <= codes, named - codes
