"""A site with two machines, and a daemon over it that listens on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from aiohttp import ClientResponse, ClientSession
from yarl import URL

from goosed_daemon import machines
from goosed_daemon.home import Home
from goosed_daemon.settings import Settings
from goosed_daemon.web.deps import Deps
from goosed_daemon.web.listeners import serving
from goosed_daemon.web.serve import assemble
from tests.daemon.content import Content, make_store
from tests.daemon.state_backends import MAC, NOW

PROFILES = f"""\
apiVersion: goose/v1
kind: Site
name: lab
---
apiVersion: goose/v1
kind: OSProfile
name: rhel9-base
installer: kickstart
release: rhel9
bundle: site-base
kernel: rhel9/images/pxeboot/vmlinuz
initrd: rhel9/images/pxeboot/initrd.img
repo: rhel9
disk:
  device: sda
---
apiVersion: goose/v1
kind: Machine
name: web1
mac: {MAC}
profile: rhel9-base
"""

FILES: dict[str, Content] = {
    "rhel9/images/pxeboot/vmlinuz": b"kernel" * 1000,
    "rhel9/images/pxeboot/initrd.img": bytes(range(256)) * 1024,  # over the size kept in memory
    "rhel9/.treeinfo": b"[general]\n",
    "rhel9/empty": b"",
    "parted.iso": [b"a" * 100_000, b"b" * 100_000, b"c" * 10],
    "odd/na me+%41&ü": b"odd",
}


@dataclass
class Clock:
    """A clock that moves when told to."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, span: timedelta) -> None:
        self.now += span


@dataclass
class Lab:
    """A running daemon, and a client of it."""

    deps: Deps
    clock: Clock
    url: str
    client: ClientSession
    home: Home
    headers: dict[str, str] = field(default_factory=dict)

    def arm(self, tries: int = 3) -> None:
        machines.arm(self.deps.state, MAC, tries, self.clock.now, "operator")

    def write_profiles(self, text: str) -> None:
        (self.home.infra / "site.yaml").write_text(text)

    async def get(self, path: str, method: str = "GET", **headers: str) -> ClientResponse:
        """Sends the path as it stands, with header names' underscores as hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(self.url + path, encoded=True)
        response = await self.client.request(method, url, headers=named)
        await response.read()
        return response

    async def script(self, mac: str = MAC, more: str = "") -> str:
        response = await self.get(f"/v1/boot/ipxe?mac={mac}{more}")
        assert response.status == 200
        return await response.text()

    async def token(self) -> str:
        """The token in a boot script of the armed machine."""
        return (await self.script()).partition("token=")[2].split()[0]

    async def metric(self, line: str) -> float:
        """The value of the metric and labels at the start of a line; 0 where there is none."""
        text = await (await self.get("/metrics")).text()
        values = [row.split()[-1] for row in text.splitlines() if row.startswith(line + " ")]
        return float(values[0]) if values else 0


@asynccontextmanager
async def running(folder: Path, profiles: str = PROFILES, **environ: str) -> AsyncIterator[Lab]:
    """A daemon over a new site in `folder`."""
    home = Home(folder)
    home.infra.mkdir(parents=True)
    (home.infra / "site.yaml").write_text(profiles)
    known = {
        "GOOSE_HOME": str(folder),
        "GOOSED_LISTEN": "127.0.0.1:0",
        "GOOSED_LAB": "true",
        **environ,
    }
    settings = Settings.load(known)
    make_store(settings.store(), FILES)
    clock = Clock()
    with ExitStack() as closing:
        deps = assemble(settings, closing, clock)
        async with (
            serving(deps) as urls,
            ClientSession(auto_decompress=False, raise_for_status=False) as client,
        ):
            yield Lab(deps, clock, urls.main, client, home)
