"""A whole site as its operator makes it: every step is a command, run as a person would run it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = ROOT / "examples" / "bundles"


class Site:
    """A site in a folder of its own, with a release engineer's keys and media beside it.

    A context manager: the daemon that `serve` started is gone at the end of the block. `settings`
    are variables of every command's.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self._settings = settings
        self.home = folder / "home"
        self.media = folder / "media"
        self.log = folder / "goosed.log"
        self.url = self.boot_url = ""
        self._daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._daemon is not None:
            self._daemon.send_signal(signal.SIGTERM)
            try:
                code = self._daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
                self._daemon.wait()
                raise
            assert code == 0, self.log.read_text()

    def goosectl(self, *words: str | Path) -> Any:
        """Run one command; returns what it prints with --json."""
        command = [sys.executable, "-m", "goosectl", *map(str, words), "--json"]
        done = subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def key(self, name: str) -> Path:
        """Make a signing key; returns its private file."""
        made = self.goosectl("key", "new", name, "--out", self.folder / "keys")
        return Path(made["key"])

    def recipe(self, name: str) -> Path:
        """A copy of an example's recipe and content that a test may change."""
        copy = self.folder / "recipes"
        if not copy.exists():
            shutil.copytree(BUNDLES, copy)
        return copy / name

    def trust(self, key: Path) -> Path:
        """Pin the signer by the fingerprint that was told; returns the allowed_signers file."""
        public = f"{key}.pub"
        told = self.goosectl("trust", "init", "--signer", public, "--dry-run")["fingerprint"]
        self.goosectl("trust", "init", "--signer", public, "--fingerprint", told)
        allowed = self.folder / "allowed_signers"
        self.goosectl("trust", "export", "--out", allowed)
        return allowed

    def debian_installer(self, kernel: Path) -> Path:
        """The recipe of the Debian example, for the installer that `kernel` is part of."""
        recipe = self.recipe("debian12.yaml")
        text = recipe.read_text()
        (named,) = re.findall(r"^  - file: (/.*)/linux$", text, re.MULTILINE)
        recipe.write_text(text.replace(named, str(kernel.parent)))
        return recipe

    def infra(self, text: str) -> None:
        """Write the site's profiles and validate them."""
        folder = self.home / "infra"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "site.yaml").write_text(text)
        self.goosectl("infra", "validate", folder)

    def serve(self, *, seconds: float = 20, **settings: str) -> None:
        """Start goosed on a free port of the loopback address, with `settings` as variables;
        returns once it answers."""
        self.issue()
        ready = self.folder / "ready.json"
        environment = self._environment() | {"GOOSED_READY_FILE": str(ready), **settings}
        command = [sys.executable, "-m", "goosectl", "serve", "--listen", "127.0.0.1:0"]
        command += ["--boot-listen", "127.0.0.1:0"]
        with self.log.open("wb") as log:
            self._daemon = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        deadline = time.monotonic() + seconds
        while not ready.exists():
            assert self._daemon.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"not ready after {seconds} s"
            time.sleep(0.05)
        told = json.loads(ready.read_text())
        self.url, self.boot_url = told["url"], told["boot_url"]

    def issue(self) -> None:
        """The site's authority, and a certificate for this machine as guests see it, once."""
        if (self.home / "pki").exists():
            return
        networks = ("--permit", "127.0.0.0/8", "--permit", "10.0.2.0/24")
        self.goosectl("pki", "init", *networks)
        self.goosectl("pki", "issue", "goosed", "--ip", "127.0.0.1", "--ip", "10.0.2.2")

    @property
    def port(self) -> int:
        """The port of HTTPS."""
        return int(self.url.rsplit(":", 1)[1])

    @property
    def boot_port(self) -> int:
        """The port of the boot listener."""
        return int(self.boot_url.rsplit(":", 1)[1])

    def get(self, path: str) -> str:
        """What goosed answers to a GET over HTTPS."""
        return self.get_bytes(path).decode()

    def get_bytes(self, path: str) -> bytes:
        """The bytes that goosed answers to a GET over HTTPS."""
        return self.fetch(self.url + path)

    def fetch(self, url: str) -> bytes:
        """What is at `url`; of HTTPS what the site's authority vouches for, and no other."""
        trusted = ssl.create_default_context(cafile=str(self.home / "pki" / "ca.crt"))
        with urllib.request.urlopen(url, timeout=60, context=trusted) as answer:
            return bytes(answer.read())

    def logged(self, message: str) -> list[dict[str, Any]]:
        """The log lines with this message."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line.get("message") == message]

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GOOSE", "XDG_"))}
        own = {"GOOSE_HOME": str(self.home), "PYTHONPATH": str(ROOT)}
        return kept | own | self._settings
