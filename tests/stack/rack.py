"""A site at work: three processes of goosed over PostgreSQL, S3 and NATS, and the machines that it
installs, refuses and hears of."""

from __future__ import annotations

import json
import re
import secrets
import signal
import ssl
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from goosed_daemon import machines
from goosed_daemon.home import Home
from goosed_daemon.state import open_state
from goosed_daemon.state.protocol import State
from tests.daemon.content import make_store
from tests.daemon.postgres import database
from tests.daemon.tls_site import authority, issue
from tests.daemon.web_site import FILES, PROFILES
from tests.nats_server import NatsServer
from tests.s3_server import environment
from tests.s3_server import running as running_s3
from tests.stack.servers import free_port

ROLES = ("bootd", "api", "orchestrator")
MACHINES = 8
_GOOSED = "from goosectl.main import goosed; raise SystemExit(goosed())"


@dataclass
class Rack:
    """The site and its machines. `urls` are those of each role, and of the boot listener."""

    folder: Path
    stopping: ExitStack
    otlp: str  # URL of the collector
    urls: dict[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    sent: int = 0

    def start(self) -> None:
        """Starts the site."""
        ca = authority(self.folder / "pki")
        issue(ca)
        self._trusting = ssl.create_default_context(cafile=str(self.ca))
        (self.folder / "infra").mkdir()
        (self.folder / "infra" / "site.yaml").write_text(
            PROFILES + "".join(_machine(number) for number in range(1, MACHINES))
        )
        s3 = self.stopping.enter_context(running_s3(self.folder / "s3")).bucket()
        make_store(s3, FILES)
        nats = NatsServer(self.folder / "nats")
        nats.start()
        self.stopping.callback(nats.stop)
        dsn = database(self.folder)
        ports = {role: free_port() for role in (*ROLES, "boot")}
        self.urls = {role: f"https://127.0.0.1:{ports[role]}" for role in ROLES}
        self.urls["boot"] = f"http://127.0.0.1:{ports['boot']}"
        shared = environment(s3) | {
            "GOOSE_HOME": str(self.folder),
            "DB_DSN": dsn,
            "NATS_URL": f"nats://127.0.0.1:{nats.port}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.otlp,
            "GOOSED_PUBLIC_URL": self.urls["bootd"],
            "GOOSED_API_URL": self.urls["api"],
            "GOOSED_BOOT_LISTEN": f"127.0.0.1:{ports['boot']}",
            "GOOSED_RATE_ADDRESS": "none",
            "GOOSED_RATE_MACHINE": "none",
        }
        for role in ROLES:
            self._run(role, shared | {"GOOSED_LISTEN": f"127.0.0.1:{ports[role]}"})
        self.state: State = open_state(Home(self.folder), dsn, datetime.now(UTC))
        self.stopping.callback(self.state.close)

    @property
    def ca(self) -> Path:
        return self.folder / "pki" / "ca.crt"

    def work(self) -> None:
        """Lets machines come and go until the site is stopped."""
        stop = threading.Event()
        thread = threading.Thread(target=self._go_on, args=(stop,), daemon=True)
        thread.start()

        def end() -> None:
            stop.set()
            thread.join(30)

        self.stopping.callback(end)

    def ask(self, url: str, body: object = None, **headers: str) -> tuple[int, str]:
        """A machine's request."""
        self.sent += 1
        data = None if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named["Content-Type"] = "application/json"
        context = self._trusting if url.startswith("https") else None
        try:
            with urlopen(Request(url, data, named), timeout=20, context=context) as got:
                return got.status, got.read().decode(errors="replace")
        except HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def _go_on(self, stop: threading.Event) -> None:
        while True:
            for number in range(MACHINES):
                if stop.is_set():
                    return
                self._life(number)
                stop.wait(0.1)
            for process in self.processes.values():
                process.send_signal(signal.SIGHUP)  # takes its certificate up anew
            self.ask(self.urls["boot"] + "/v1/boot/ipxe?mac=52:54:00:ff:ff:ff")  # a stranger
            self.ask(self.urls["api"] + "/v1/machines")  # without a token
            self.ask(self.urls["api"] + "/healthz", {})  # which takes no POST

    def _life(self, number: int) -> None:
        """One installation, to its end or to a failure, and the agent's after it."""
        mac = _mac(number)
        machines.arm(self.state, mac, 3, datetime.now(UTC), "operator")
        _, script = self.ask(f"{self.urls['boot']}/v1/boot/ipxe?mac={mac}")
        self.ask(_found(r"initrd --name \S+ (\S+\?by=\S+)", script))
        render = _found(r"inst\.ks=(\S+)", script)
        _, text = self.ask(render)
        self.ask(render)  # once more, which is refused
        report = _found(r"(https\S+/progress\?token=[^\s&'\"]+)", text)
        self.ask(f"{report}&step=started", {})
        if number == 1:
            self.ask(f"{report}&step=failed", {})
            return
        self.ask(f"{report}&step=installed", {})
        secret = _found(r"printf 'enrolment=%s\\n' (\S+) ", text)
        api, said = self.urls["api"] + "/v1/agents", {"machine_id": mac, "agent": "test/1"}
        _, told = self.ask(f"{api}/register", {"enrolment": secret})
        token = json.loads(told)["token"]
        self.ask(f"{api}/heartbeat", said, Authorization=f"Bearer {token}")
        change = {"machine_id": mac, "old_token": token}
        self.ask(f"{api}/token/refresh", change, Idempotency_Key=secrets.token_hex(16))
        if number == 2:  # a token that somebody else has too
            self.ask(f"{api}/token/refresh", change, Idempotency_Key=secrets.token_hex(16))

    def _run(self, role: str, environ: dict[str, str]) -> None:
        with (self.folder / f"{role}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", _GOOSED],
                env={"PATH": "/usr/bin:/bin", "GOOSED_ROLES": role, **environ},
                stdout=log,
                stderr=log,
            )
        self.processes[role] = process
        self.stopping.callback(_stop, process)
        end = time.monotonic() + 60
        while True:
            try:
                if self.ask(f"{self.urls[role]}/readyz")[0] == 200:
                    return
            except OSError:
                pass
            written = (self.folder / f"{role}.log").read_text()[-2000:]
            assert process.poll() is None and time.monotonic() < end, written
            time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(60)


def _mac(number: int) -> str:
    return f"52:54:00:12:34:{0x56 + number:02x}"


def _machine(number: int) -> str:
    return (
        f"---\napiVersion: goose/v1\nkind: Machine\nname: node{number}\n"
        f"mac: {_mac(number)}\nprofile: rhel9-base\n"
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]
