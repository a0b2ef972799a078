"""The stack's servers as processes on free ports of loopback, with the files of otel/ as they are
but for addresses and folders."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import yaml

from tests.observability import OTEL
from tests.parts import part

Words = Sequence[object]


def free_port() -> int:
    """A port that nobody listens on. It is below those that the kernel gives to connections: the
    many that a site at work makes would take it before its server does."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with closing(socket.socket()) as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


def ask(url: str, **query: str) -> tuple[int, str]:
    """The status and text of an answer."""
    try:
        with urlopen(Request(f"{url}?{urlencode(query)}" if query else url), timeout=20) as got:
            return got.status, got.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def wait(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 90) -> None:
    """Until `url` answers 200."""
    end = time.monotonic() + seconds
    while ask(url)[0] != 200:
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < end, f"{url}: {ask(url)} {log.read_text()[-3000:]}"
        time.sleep(0.1)


@dataclass
class Stack:
    """Collector, Prometheus, Loki and Tempo."""

    folder: Path
    stopping: ExitStack
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def url(self, name: str) -> str:
        """Where a server answers."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self) -> None:
        """Starts them all, Tempo before the collector, which would wait ever longer for it."""
        names = ("tempo", "tempo-otlp", "loki", "otlp", "collector", "exported", "prometheus")
        self.ports = {name: free_port() for name in names} | {"health": free_port()}
        self._tempo()
        self._loki()
        self._collector()
        self._prometheus()

    def scrape(self, goosed: Sequence[str], ca: Path) -> None:
        """Has Prometheus scrape these processes of goosed, whose authority is `ca`."""
        job = self._goosed | {"static_configs": [{"targets": list(goosed)}]}
        self._scrape([job | {"tls_config": {"ca_file": str(ca)}}])
        url = self.url("prometheus") + "/-/reload"
        with urlopen(Request(url, method="POST"), timeout=20) as answer:
            assert answer.status == 200

    def query(self, expr: str) -> list[dict[str, Any]]:
        """What Prometheus answers now."""
        status, text = ask(f"{self.url('prometheus')}/api/v1/query", query=expr)
        assert status == 200, f"{expr}: {text}"
        found: list[dict[str, Any]] = json.loads(text)["data"]["result"]
        return found

    def lines(self, expr: str) -> list[dict[str, Any]]:
        """The streams that Loki has for an expression, of the last quarter of an hour."""
        ago = str(time.time_ns() - 900 * 10**9)
        status, text = ask(f"{self.url('loki')}/loki/api/v1/query_range", query=expr, start=ago)
        assert status == 200, f"{expr}: {text}"
        found: list[dict[str, Any]] = json.loads(text)["data"]["result"]
        return found

    def trace(self, trace: str) -> str | None:
        """A trace as Tempo has it; None where it has not."""
        status, text = ask(f"{self.url('tempo')}/api/traces/{trace}")
        return text if status == 200 else None

    def _tempo(self) -> None:
        told = yaml.safe_load((OTEL / "tempo.yaml").read_text())
        told["server"] |= {"http_listen_port": self.ports["tempo"], "grpc_listen_port": free_port()}
        told["server"] |= {"http_listen_address": "127.0.0.1", "grpc_listen_address": "127.0.0.1"}
        grpc = {"endpoint": f"127.0.0.1:{self.ports['tempo-otlp']}"}
        told["distributor"]["receivers"]["otlp"]["protocols"]["grpc"] = grpc
        for kind in ("wal", "local"):
            told["storage"]["trace"][kind]["path"] = str(self.folder / "tempo" / kind)
        # Of Tempo 1.5, which is what can be built here; newer ones know neither key.
        told["search_enabled"] = True
        told["ingester"] = {"lifecycler": {"min_ready_duration": "0s"}, "trace_idle_period": "1s"}
        file = self.folder / "tempo.yaml"
        file.write_text(yaml.safe_dump(told))
        self._run("tempo", [part("tempo"), "-config.file", file], "tempo", "/ready")

    def _loki(self) -> None:
        words = [part("loki"), "-config.file", OTEL / "loki.yaml", "-config.expand-env"]
        words += ["-server.http-listen-address=127.0.0.1", "-server.grpc-listen-address=127.0.0.1"]
        words += [f"-server.http-listen-port={self.ports['loki']}"]
        words += [f"-server.grpc-listen-port={free_port()}", "-ingester.min-ready-duration=0s"]
        self._run("loki", words, "loki", "/ready", LOKI_DATA=str(self.folder / "loki"))

    def _collector(self) -> None:
        at = {
            "receivers::otlp::protocols::http::endpoint": "otlp",
            "exporters::prometheus::endpoint": "exported",
            "extensions::health_check::endpoint": "health",
        }
        words: list[object] = [part("otelcol"), "--config", OTEL / "collector.yaml"]
        words += [f"--set={key}=127.0.0.1:{self.ports[port]}" for key, port in at.items()]
        own = {"host": "127.0.0.1", "port": self.ports["collector"]}
        readers = json.dumps([{"pull": {"exporter": {"prometheus": own}}}])
        words.append(f"--set=service::telemetry::metrics::readers={readers}")
        environ = {
            "TEMPO_OTLP": f"127.0.0.1:{self.ports['tempo-otlp']}",
            "LOKI_URL": self.url("loki"),
        }
        self._run("collector", words, "health", "/", **environ)

    def _prometheus(self) -> None:
        folder = self.folder / "prometheus"
        shutil.copytree(OTEL, folder)
        text = (folder / "prometheus.yaml").read_text()
        for key in ("scrape_interval", "evaluation_interval", "scrape_timeout"):
            assert f"{key}: 1" in text
            text = text.replace(f"{key}: 15s", f"{key}: 1s").replace(f"{key}: 10s", f"{key}: 1s")
        (folder / "prometheus.yaml").write_text(text)
        (folder / "scrape.d").mkdir()
        jobs = yaml.safe_load((OTEL / "scrape" / "host.yaml").read_text())["scrape_configs"]
        for job in jobs:
            name = {"otlp": "exported"}.get(job["job_name"], job["job_name"])
            if name in self.ports:
                job["static_configs"] = [{"targets": [f"127.0.0.1:{self.ports[name]}"]}]
        self._jobs = [job for job in jobs if job["job_name"] != "goosed"]
        self._goosed = next(job for job in jobs if job["job_name"] == "goosed")
        self._scrape([])
        words = [part("prometheus"), f"--config.file={folder / 'prometheus.yaml'}"]
        words += [f"--storage.tsdb.path={folder / 'data'}", "--enable-feature=exemplar-storage"]
        words += [f"--web.listen-address=127.0.0.1:{self.ports['prometheus']}"]
        words.append("--web.enable-lifecycle")
        self._run("prometheus", words, "prometheus", "/-/ready")

    def _scrape(self, more: Sequence[object]) -> None:
        text = yaml.safe_dump({"scrape_configs": [*self._jobs, *more]})
        (self.folder / "prometheus" / "scrape.d" / "test.yaml").write_text(text)

    def _run(self, name: str, words: Words, port: str, ready: str, **environ: str) -> None:
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(word) for word in words],
                stdout=out,
                stderr=out,
                cwd=self.folder,
                env=_environment() | environ,
            )
        self.processes[name] = process
        self.stopping.callback(_stop, process)
        wait(self.url(port) + ready, process, log)


def _environment() -> Mapping[str, str]:
    kept = ("PATH", "HOME", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()  # Tempo takes half a minute to say goodbye
        process.wait()
