"""A daemon that serves over TLS with a certificate of its own site's authority, and its clients."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from goosed_daemon import pki
from tests.daemon.web_site import Lab, running
from tests.parts import part

NAME = "goosed"


def authority(folder: Path) -> pki.Authority:
    """A new authority in `folder`, for loopback."""
    permitted = pki.permitted(["127.0.0.0/8", "site-a.example"])
    return pki.init(folder, "Site A", permitted, datetime.now(UTC))


def issue(
    made: pki.Authority,
    name: str = NAME,
    names: Sequence[str] = ("127.0.0.1",),
    *,
    ago: timedelta = timedelta(0),
    life: timedelta = pki.LEAF_LIFE,
    client: bool = False,
) -> pki.Certificate:
    """A certificate issued `ago`, in the place of the one that is there."""
    parsed = [pki.address(one) if one[0].isdigit() else pki.host(one) for one in names]
    now = datetime.now(UTC) - ago
    return made.issue(name, parsed, now, life=life, client=client, renew=True)


@dataclass
class Answer:
    """What curl or openssl said."""

    code: int  # the program's exit code
    out: str
    err: str


@dataclass
class TlsLab:
    """A running daemon with both listeners. `lab` asks over HTTPS and trusts the authority."""

    lab: Lab
    boot: str  # URL of the boot listener
    authority: pki.Authority
    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "pki" / "ca.crt"

    @property
    def port(self) -> int:
        return self.lab.deps.ports.main

    @property
    def boot_port(self) -> int:
        return self.lab.deps.ports.boot

    async def curl(self, *words: object, ca: Path | None = None) -> Answer:
        """curl, which trusts the site's authority and nothing else."""
        alone = ["--cacert", ca or self.ca, "--capath", "/nonexistent", "--noproxy", "*"]
        quiet = ["--silent", "--show-error", "--max-time", "60"]
        return await run(part("curl"), *quiet, *alone, *words)

    async def s_client(self, *words: object, port: int | None = None) -> Answer:
        """openssl s_client, with nothing to say after the handshake."""
        where = ["-connect", f"127.0.0.1:{port or self.port}"]
        trust = ["-CAfile", self.ca, "-no-CApath", "-no-CAstore", "-verify_return_error"]
        return await run(part("openssl"), "s_client", *where, *trust, *words)

    async def serial(self) -> str:
        """The serial number of the certificate that a new connection gets."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.check_hostname = False
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        certificate = writer.get_extra_info("peercert")
        writer.close()
        return str(certificate["serialNumber"])


async def run(*command: object) -> Answer:
    """Runs a program without input, beside the daemon of this process."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Answer(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


@asynccontextmanager
async def running_tls(folder: Path, **environ: str) -> AsyncIterator[TlsLab]:
    """A daemon over a new site in `folder`, at the present time."""
    if not (folder / "pki").exists():
        issue(authority(folder / "pki"))
    known = {"GOOSED_LAB": "false", "GOOSED_BOOT_LISTEN": "127.0.0.1:0", **environ}
    async with running(folder, **known) as lab:
        lab.clock.now = datetime.now(UTC)
        boot = f"http://127.0.0.1:{lab.deps.ports.boot}"
        yield TlsLab(lab, boot, pki.load(folder / "pki"), folder)
