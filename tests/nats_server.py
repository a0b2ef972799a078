"""A real NATS server with JetStream, for tests: it can be killed and started again on its port."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import nkeys

from tests.parts import part


class NatsServer:
    """Its streams are in `folder` and outlive it; `config` is further configuration."""

    def __init__(self, folder: Path, config: str = "") -> None:
        self._program = part("nats-server")
        self._folder = folder
        self.port = _free_port()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "nats.conf").write_text(
            f"listen: 127.0.0.1:{self.port}\n"
            f'jetstream {{ store_dir: "{folder / "js"}", max_mem: 64MB, max_file: 256MB }}\n'
            f"{config}"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it listens."""
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(
            [self._program, "-c", self._folder / "nats.conf"], stdout=log, stderr=log
        )
        log.close()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self._process.poll() is None, (self._folder / "log").read_text()
            time.sleep(0.02)
        raise AssertionError("nats-server does not listen")

    def stop(self, number: int = signal.SIGKILL) -> None:
        """Ends it; SIGKILL is as a crash."""
        if self._process is not None:
            os.kill(self._process.pid, number)
            self._process.wait()
            self._process = None


def decentralised(folder: Path) -> tuple[str, Path]:
    """The configuration of a server that knows its users by JWT, and a user's credentials file
    (NATS documentation, "Decentralized JWT Authentication")."""
    operator, account, system, user = (nkeys.from_seed(_seed(kind)) for kind in "OAAU")
    limits = {"subs": -1, "data": -1, "payload": -1}
    more = {"imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
    js = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}

    def public(key: Any) -> str:
        return str(key.public_key.decode())

    def claims(key: Any, kind: str, **nats: object) -> str:
        return _jwt(operator, public(key), {"type": kind, "version": 2, **nats})

    accounts = {
        public(account): claims(account, "account", limits=limits | more | js),
        public(system): claims(system, "account", limits=limits | more),
    }
    users = _jwt(account, public(user), {"type": "user", "version": 2, **limits})
    credentials = folder / "goosed.creds"
    credentials.write_text(
        f"-----BEGIN NATS USER JWT-----\n{users}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    listed = "\n".join(f"  {name}: {jwt}" for name, jwt in accounts.items())
    config = (
        f"operator: {claims(operator, 'operator')}\nsystem_account: {public(system)}\n"
        f"resolver: MEMORY\nresolver_preload: {{\n{listed}\n}}\n"
    )
    return config, credentials


def _seed(kind: str) -> bytes:
    prefix = {"O": 14 << 3, "A": 0, "U": 20 << 3}[kind]
    raw = bytes([(18 << 3) | (prefix >> 5), (prefix & 31) << 3]) + os.urandom(32)
    return base64.b32encode(raw + _crc16(raw).to_bytes(2, "little")).rstrip(b"=")


def _crc16(data: bytes) -> int:
    """CRC-16/XMODEM, which nkeys end with."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def _jwt(signer: Any, subject: str, nats: dict[str, object]) -> str:
    body = {
        "jti": hashlib.sha256(subject.encode()).hexdigest()[:32],
        "iat": int(time.time()),
        "iss": signer.public_key.decode(),
        "sub": subject,
        "name": subject[:8],
        "nats": nats,
    }
    head = {"typ": "JWT", "alg": "ed25519-nkey"}
    text = ".".join(_b64(json.dumps(part).encode()) for part in (head, body))
    return f"{text}.{_b64(signer.sign(text.encode()))}"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
