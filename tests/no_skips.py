"""A pytest plugin: with CI=true a skipped test is a failed one, whatever made it skip."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from tests.parts import in_ci


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """One test, or its set-up, called pytest.skip or bears a mark."""
    return _strict((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A whole module skipped itself, as pytest.importorskip does."""
    return _strict((yield))


def _strict(report: Any) -> Any:
    if in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"in CI nothing may be skipped, this was: {report.longrepr[2]}"
    return report
