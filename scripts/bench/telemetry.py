"""What watching costs: the same requests to daemons that tell nothing, metrics, or everything.

Usage: python scripts/bench/telemetry.py [--rounds N] [--requests N]

All daemons run from the first round to the last and are asked in turn, so that a slow moment of the
machine hits each. All log requests on stderr, as they do unless told otherwise. `off` keeps no
metric; `metrics` keeps them and is scraped for every 15 seconds of its turns; `all` also sends
spans and lines to a collector that reads and forgets them; `dead` does so to one that accepts and
never answers, `gone` to one that refuses.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from measure import HEADER, Run, Side, row

if TYPE_CHECKING:
    from run import Bench

_MAC = "52:54:00:00:00:01"
_SITE = f"""\
apiVersion: goose/v1
kind: Site
name: bench
---
apiVersion: goose/v1
kind: Machine
name: one
mac: {_MAC}
"""
_PATHS = {
    "boot script": f"/v1/boot/ipxe?mac={_MAC}",
    "GET /healthz": "/healthz",
}
_CONNECTIONS = 8
_SCRAPED = 15.0  # seconds between two scrapes, as otel/prometheus.yaml has it
_GOALS = {"metrics": "1.05", "all": "1.15", "dead": "1.15", "gone": "1.15"}
_TITLES = {
    "metrics": "metrics",
    "all": "metrics, logs, traces",
    "dead": "the same, collector silent",
    "gone": "the same, collector gone",
}
_SERVE = "from goosectl.main import goosed; raise SystemExit(goosed())"
# Nothing else in the daemon can leave its metrics out: nobody would want that but this comparison.
_WITHOUT = """
from goosed_daemon.telemetry import Telemetry
Telemetry.count = Telemetry.observe = Telemetry.set = Telemetry.replace = lambda *_, **__: None
"""
_COLLECTOR = """
import http.server, sys
class Taker(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taker)
print(server.server_port, flush=True)
server.serve_forever()
"""


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it was answered, until the `turns` are used up."""

    def __init__(self, ask: bytes, turns: Iterator[int], done: asyncio.Future[None]) -> None:
        self._ask, self._turns, self._done = ask, turns, done
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        if len(body) < length:
            return
        if b" 200 " not in head[:16]:
            self._done.set_exception(SystemExit(f"answered {head[:60]!r}"))
            return
        self._got = b""
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(error or ConnectionError("the daemon hung up"))

    def _next(self) -> None:
        if next(self._turns, None) is None:
            self._done.set_result(None)
            self._transport.close()
        else:
            self._transport.write(self._ask)


class Daemon:
    """A daemon of one kind over a site of its own."""

    def __init__(self, name: str, folder: Path, endpoint: str | None, closing: ExitStack) -> None:
        self.name = name
        self._unseen = 0.0  # seconds since it was scraped
        (folder / "infra").mkdir(parents=True)
        (folder / "infra" / "site.yaml").write_text(_SITE)
        environ = {"PATH": os.environ["PATH"], "GOOSE_HOME": str(folder), "GOOSED_LAB": "true"}
        environ |= {"GOOSED_RATE_ADDRESS": "none", "GOOSED_RATE_MACHINE": "none"}
        program = _SERVE
        if name == "off":
            program = _WITHOUT + _SERVE
        if endpoint is not None:
            environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
        log = closing.enter_context((folder / "log").open("wb"))
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, "--listen", "127.0.0.1:0"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        closing.callback(self._process.wait)
        closing.callback(self._process.terminate)
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        if not words:
            raise SystemExit((folder / "log").read_text())
        self._port = int(words[-1].rpartition(":")[2])

    def turn(self, path: str, requests: int) -> Run:
        """So many requests; the CPU seconds are those of the daemon alone."""
        began, spent = time.perf_counter(), self._cpu()
        asyncio.run(self._ask(path, requests))
        self._unseen += time.perf_counter() - began
        if self.name != "off" and self._unseen >= _SCRAPED:
            asyncio.run(self._ask("/metrics", 1))
            self._unseen = 0.0
        return Run(time.perf_counter() - began, self._cpu() - spent, self._memory(), 0, 0)

    async def _ask(self, path: str, requests: int) -> None:
        loop = asyncio.get_running_loop()
        ask = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        turns = iter(range(requests))
        ends = [loop.create_future() for _ in range(_CONNECTIONS)]
        for end in ends:
            await loop.create_connection(
                lambda end=end: Client(ask, turns, end), "127.0.0.1", self._port
            )
        await asyncio.gather(*ends)

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _memory(self) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@contextmanager
def collector() -> Iterator[str]:
    """An endpoint that takes what it is sent."""
    process = subprocess.Popen([sys.executable, "-c", _COLLECTOR], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def rows(folder: Path, rounds: int, requests: int) -> Iterator[str]:
    """The lines of the table: each kind beside `off`."""
    with ExitStack() as closing:
        silent = closing.enter_context(socket.create_server(("127.0.0.1", 0), backlog=8))
        with socket.create_server(("127.0.0.1", 0)) as closed:
            gone = f"http://127.0.0.1:{closed.getsockname()[1]}"
        ends = {"off": None, "metrics": None, "all": closing.enter_context(collector())}
        ends |= {"dead": f"http://127.0.0.1:{silent.getsockname()[1]}", "gone": gone}
        daemons = [Daemon(name, folder / name, end, closing) for name, end in ends.items()]
        for title, path in _PATHS.items():
            sides = {daemon.name: Side(f"telemetry off, {title}", ()) for daemon in daemons}
            for number in range(rounds + 1):
                turned = number % len(daemons)
                for daemon in daemons[turned:] + daemons[:turned]:
                    run = daemon.turn(path, requests)
                    if number:
                        sides[daemon.name].runs.append(run)
            for name, goal in _GOALS.items():
                yield row(_TITLES[name], sides[name], sides["off"], goal)


def with_signals(bench: Bench) -> Iterator[str]:
    """The part of `make bench`."""
    yield from rows(bench.folder / "signals", max(5, 2 * bench.rounds), 4000)


def main() -> None:
    """Prints the table, and how busy the machine was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=4000, help="in one turn of one daemon")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    print(HEADER)
    with tempfile.TemporaryDirectory(prefix="goose-bench-") as folder:
        for line in rows(Path(folder), options.rounds, options.requests):
            print(line, flush=True)
    print(f"load average {before:.1f} before, {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
