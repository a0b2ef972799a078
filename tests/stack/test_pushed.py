"""Metrics that are pushed come out of the real collector as they are named, and counted once."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from goosed_daemon.telemetry import METRICS
from tests.daemon.test_tracing import logged, site
from tests.stack.servers import Stack, ask

__all__ = ["site"]

REQUESTS = 7


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with ExitStack() as stopping:
        started = Stack(tmp_path_factory.mktemp("stack"), stopping)
        started.start()
        yield started


def test_what_is_pushed_reaches_prometheus_by_its_name(stack: Stack, site: Path) -> None:
    with logged(site, stack.url("otlp"), GOOSED_OTLP_METRICS="1s") as (process, url):
        for _ in range(REQUESTS):
            ask(f"{url}/healthz")
        process.terminate()  # with the last metrics on their way
        process.communicate(timeout=20)
    count = r'^http_server_duration_seconds_count{.*route="/healthz".*} (\S+)'
    asked = 'sum(http_server_duration_seconds_count{route="/healthz",service="goosed-api"})'
    end = time.monotonic() + 60
    while True:
        text = ask(f"{stack.url('exported')}/metrics")[1]
        found = [float(value) for value in re.findall(count, text, re.MULTILINE)]
        answer = [float(series["value"][1]) for series in stack.query(asked)]
        if found == answer == [REQUESTS]:
            break
        assert time.monotonic() < end, (found, answer, text[:2000])
        time.sleep(0.5)
    names = set(re.findall(r"^# TYPE (goosed_\S+) ", text, re.MULTILINE))
    assert names and names <= {metric.name for metric in METRICS}
