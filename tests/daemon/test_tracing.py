"""Traces and logs: an installation is one trace, and a collector that is away costs nothing."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen
from urllib.request import Request, urlopen

import pytest

from goosed_daemon import machines, tracing
from goosed_daemon.home import Home
from goosed_daemon.state import open_state
from goosed_daemon.workflow import rows
from tests.daemon.content import make_store
from tests.daemon.otlp_receiver import Received, attributes, receiving
from tests.daemon.state_backends import MAC
from tests.daemon.test_roles import ask, found
from tests.daemon.test_web_serve import daemon
from tests.daemon.web_site import FILES, PROFILES

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector() -> Iterator[Received]:
    with receiving() as received:
        yield received


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "site.yaml").write_text(PROFILES)
    make_store(tmp_path / "store", FILES)
    return tmp_path


def armed(site: Path) -> str:
    """Arms the machine; returns the trace of its installation."""
    state = open_state(Home(site), None, datetime.now(UTC))
    machines.arm(state, MAC, 3, datetime.now(UTC), "operator")
    trace = rows.trace(state, MAC)
    state.close()
    assert trace is not None
    return trace


@contextmanager
def logged(site: Path, endpoint: str, **environ: str) -> Iterator[tuple[Popen[str], str]]:
    """A daemon that sends to `endpoint`, with its log in a file of the site."""
    with open(site / "log", "w") as log:
        environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        with daemon(site, log=log.fileno(), **environ) as started:
            yield started


def test_an_installation_is_one_trace_from_arming_to_its_end(
    site: Path, collector: Received
) -> None:
    trace = armed(site)
    with logged(site, collector.url) as (process, url):
        _, script = ask(f"{url}/v1/boot/ipxe?mac={MAC}")
        ask(found(r"initrd --name \S+ (\S+)", script))
        _, text = ask(found(r"inst\.ks=(\S+)", script))
        ask(found(r"(http\S+/progress\?token=[^\s&'\"]+)", text) + "&step=installed", {})
        secret = found(r"printf 'enrolment=%s\\n' (\S+) ", text)
        _, told = ask(f"{url}/v1/agents/register", {"enrolment": secret})
        said = {"machine_id": MAC, "agent": "test/1"}
        bearer = f"Bearer {json.loads(told)['token']}"
        ask(f"{url}/v1/agents/heartbeat", said, Authorization=bearer)
        collector.until(lambda: bool(collector.named("installation")))
        process.terminate()
        process.communicate(timeout=20)
    (whole,) = collector.named("installation")
    assert whole.trace_id.hex() == trace and whole.span_id.hex() == tracing.root(trace)
    assert attributes(whole)["goose.state"] == "ready"
    ours = [(service, span) for service, span in collector.spans if span.trace_id.hex() == trace]
    below = {(service, span.name) for service, span in ours if span.parent_span_id}
    assert {
        ("goosed-bootd", "GET /v1/boot/ipxe"),
        ("goosed-bootd", "GET /v1/render/{installer}"),
        ("goosed-bootd", "GET /v1/artifacts/{bundle}/{path}"),
        ("goosed-api", "POST /v1/machines/{mac}/progress"),
        ("goosed-agents", "POST /v1/agents/register"),
        ("goosed-agents", "POST /v1/agents/heartbeat"),
        ("goosed-orchestrator", "offered"),
        ("goosed-orchestrator", "rendered"),
    } <= below
    assert {span.parent_span_id for _, span in ours if span.parent_span_id} == {whole.span_id}
    assert len({span.span_id for _, span in ours}) == len(ours)
    lines = [line for _, line in collector.lines if line.trace_id.hex() == trace]
    assert "request" in {line.body.string_value for line in lines}
    written = [json.loads(line) for line in (site / "log").read_text().splitlines()]
    assert sum(line.get("trace_id") == trace for line in written) >= len(lines) > 0


def test_no_secret_is_sent(site: Path, collector: Received) -> None:
    armed(site)
    with logged(site, collector.url) as (process, url):
        _, script = ask(f"{url}/v1/boot/ipxe?mac={MAC}")
        token = found(r"token=(\S+)", script)
        _, text = ask(found(r"inst\.ks=(\S+)", script))
        secret = found(r"printf 'enrolment=%s\\n' (\S+) ", text)
        collector.until(lambda: len(collector.lines) > 2)
        process.terminate()
        process.communicate(timeout=20)
    sent = str([line for _, line in collector.lines] + [span for _, span in collector.spans])
    assert "request" in sent
    assert token not in sent and secret not in sent


def test_a_request_joins_the_trace_of_whoever_sent_it(site: Path, collector: Received) -> None:
    with logged(site, collector.url) as (_, url):
        ask(f"{url}/healthz", traceparent=PARENT)
        ask(f"{url}/openapi.json", traceparent=PARENT.replace("-01", "-zz"))
        collector.until(lambda: len(collector.spans) == 2)
    (joined,), (own,) = collector.named("GET /healthz"), collector.named("GET /openapi.json")
    assert (joined.trace_id.hex(), joined.parent_span_id.hex()) == tuple(PARENT.split("-")[1:3])
    assert own.trace_id.hex() != joined.trace_id.hex() and not own.parent_span_id


def test_a_latency_leads_to_its_trace(site: Path, collector: Received) -> None:
    with logged(site, collector.url) as (_, url):
        ask(f"{url}/healthz", traceparent=PARENT)
        asked = Request(f"{url}/metrics", headers={"Accept": "application/openmetrics-text"})
        with urlopen(asked, timeout=10) as response:
            text = response.read().decode()
            assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    (line,) = [row for row in text.splitlines() if "/healthz" in row and "#" in row]
    assert re.search(r'# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} \S+', line)


def test_a_collector_that_is_away_holds_up_neither_requests_nor_the_end(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:  # accepts, and says nothing
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with logged(site, endpoint, GOOSED_RATE_ADDRESS="none") as (process, url):
            for _ in range(6000):  # more than a queue holds
                ask(f"{url}/healthz")
            lost = r'exports_total{outcome="lost",signal="traces"} (\S+)'
            assert float(found(lost, ask(f"{url}/metrics")[1])) >= 6000 - 4096 - 3 * 256
            began = time.monotonic()
            process.terminate()
            process.communicate(timeout=30)
            assert process.returncode == 0
            assert time.monotonic() - began < 15
    assert "Traceback" not in (site / "log").read_text()


def test_what_is_lost_is_counted(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with logged(site, endpoint) as (_, url):
        end = time.monotonic() + 30
        lost = 'goosed_telemetry_exports_total{outcome="lost",signal="traces"}'
        while lost not in ask(f"{url}/metrics")[1]:
            assert time.monotonic() < end
            time.sleep(0.5)
