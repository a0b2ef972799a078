from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.stack.rack import ROLES, Rack
from tests.stack.servers import Stack


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Rack]]:
    """The stack, and a site at work that it watches."""
    with ExitStack() as stopping:
        folder = tmp_path_factory.mktemp("rack")
        stack = Stack(tmp_path_factory.mktemp("stack"), stopping)
        stack.start()
        rack = Rack(folder, stopping, stack.url("otlp"))
        rack.start()
        targets = [rack.urls[role].removeprefix("https://") for role in ROLES]
        stack.scrape(goosed=targets, ca=rack.ca)
        rack.work()
        yield stack, rack


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the tables that tests recorded, which come from other processes too."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in getattr(report, "user_properties", ()):
            if name == "table" and report.when == "call":
                terminalreporter.write_line(str(value))
