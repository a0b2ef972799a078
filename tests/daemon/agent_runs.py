"""Runs the agent's own script, under the shells that installed systems have."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from goosed_daemon.render import agent
from tests.parts import part

SCRIPT = Path(agent.__file__).parent / "templates" / "agent" / "goose-agent.sh"
SHELLS = ("dash", "busybox")

# Before each command that the shell runs, also in its subshells, the count goes up; at `kill_at`
# the whole process group is gone.
_KILL = '$((count += 1))$([ "$count" != "$kill_at" ] || kill -9 0) '


@dataclass
class Agent:
    """An agent in a folder of its own."""

    folder: Path
    shell: str
    url: str
    conf: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        self.write_conf()

    @property
    def home(self) -> Path:
        return self.folder / "lib"

    @property
    def state(self) -> Path:
        return self.home / "state"

    def write_conf(self) -> None:
        lines = [f"url={self.url}", *self.conf]
        (self.folder / "conf").write_text("".join(f"{line}\n" for line in lines))

    def write(self, **members: object) -> None:
        """Replaces members of the state."""
        kept = self.read() if self.state.exists() else {}
        text = "".join(f"{name}={value}\n" for name, value in {**kept, **members}.items())
        self.state.write_text(text)

    def read(self) -> dict[str, str]:
        """The members of the state."""
        return dict(line.split("=", 1) for line in self.state.read_text().splitlines())

    def calm(self) -> None:
        """Forgets that rounds failed, so that the next one is not left out."""
        (self.home / "backoff").unlink(missing_ok=True)

    async def run(
        self, *arguments: str, kill_at: int = 0, stdin: str = "", path: str | None = None
    ) -> tuple[int, str]:
        """One run: its exit code and what it said. With `kill_at` it is killed just before that
        command, counted from 1."""
        environ = {
            "PATH": path or self._path(),
            "GOOSE_AGENT_CONF": str(self.folder / "conf"),
            "GOOSE_AGENT_FOLDER": str(self.home),
        }
        options = []
        if kill_at:
            environ |= {"PS4": _KILL, "count": "0", "kill_at": str(kill_at)}
            options = ["-x"]
        process = await asyncio.create_subprocess_exec(
            *self._shell(), *options, str(SCRIPT), *arguments,
            env=environ, start_new_session=True, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return process.returncode, said.decode()

    def _shell(self) -> list[str]:
        program = str(part(self.shell))
        return [program, "sh"] if self.shell == "busybox" else [program]

    def _path(self) -> str:
        """For busybox nothing but its own applets and curl, for others the system's."""
        curl = part("curl")
        if self.shell != "busybox":
            return os.environ["PATH"]
        applets = self.folder / "bin"
        if not applets.exists():
            applets.mkdir()
            subprocess.run([part("busybox"), "--install", "-s", applets], check=True)
            shutil.rmtree(applets / "curl", ignore_errors=True)
            (applets / "curl").symlink_to(curl)
        return str(applets)
