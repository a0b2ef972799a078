"""Boot scripts by the size of the site, and a storm of machines that all install at once.

Usage: python scripts/bench/boot.py [--sizes 10 1000 10000] [--requests N] [--storm N]

Every machine is armed, and machines ask in no order, over 16 connections to one daemon over SQLite;
client and server share the cores. First each machine's first script is asked for, for which a token
is drawn and kept; then scripts again, which offer the same token. Beside it stands matchbox over as
many groups, where GOOSE_BENCH_MATCHBOX or PATH has it: its script holds no token. In the storm each
of so many machines asks for its script, for its rendered file, and for the heads of what it boots;
none may be lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from asking import Answers, Ask, Client, ask
from inputs import GOOSECTL
from peers import program_of
from run import free_port, running

from goosed_daemon import machines
from goosed_daemon.home import Home
from goosed_daemon.state import open_state

EXAMPLES = Path(__file__).parents[2] / "examples" / "bundles"
CONNECTIONS = 16
PROFILE = """\
apiVersion: goose/v1
kind: Site
name: bench
---
apiVersion: goose/v1
kind: OSProfile
name: rhel9
installer: kickstart
release: rhel9
bundle: site-base
kernel: rhel9/images/pxeboot/vmlinuz
initrd: rhel9/images/pxeboot/initrd.img
repo: rhel9
disk: {device: sda}
"""


def mac(number: int) -> str:
    """The MAC of a machine."""
    text = f"525400{number:06x}"
    return ":".join(text[i : i + 2] for i in range(0, 12, 2))


class Ours:
    """goosed over a site of `count` armed machines."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.port = folder, free_port()
        os.environ["GOOSE_HOME"] = str(folder)
        (folder / "infra").mkdir(parents=True)
        documents = [
            f"---\napiVersion: goose/v1\nkind: Machine\nname: m{n}\nmac: {mac(n)}\nprofile: rhel9\n"
            for n in range(count)
        ]
        (folder / "infra" / "site.yaml").write_text(PROFILE + "".join(documents))
        out = folder / "media"
        self._goosectl("key", "new", "release", "--out", str(folder))
        key = str(folder / "release")
        told = self._goosectl("trust", "init", "--signer", f"{key}.pub", "--dry-run")["fingerprint"]
        self._goosectl("trust", "init", "--signer", f"{key}.pub", "--fingerprint", told)
        recipe = str(EXAMPLES / "base.yaml")
        self._goosectl("bundle", "build", recipe, "--key", key, "--out", str(out))
        self._goosectl("bundle", "import", str(out))
        now = datetime.now(UTC)
        state = open_state(Home(folder), None, now)
        for number in range(count):
            machines.arm(state, mac(number), 3, now, "bench")
        state.close()

    def command(self) -> list[str]:
        """What starts it."""
        os.environ["GOOSE_HOME"] = str(self.folder)
        return [*GOOSECTL, "serve", "--lab", "--listen", f"127.0.0.1:{self.port}"]

    def path(self, number: int) -> str:
        """Where a machine's script is."""
        return f"/v1/boot/ipxe?mac={mac(number)}"

    def _goosectl(self, *words: str) -> dict[str, str]:
        done = subprocess.run([*GOOSECTL, *words, "--json"], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{words}: {done.stderr}")
        return dict(json.loads(done.stdout or "{}"))


class Matchbox:
    """matchbox over as many groups, with one profile of the same kind."""

    def __init__(self, name: str, folder: Path, count: int) -> None:
        self._name, self.folder, self.port = name, folder, free_port()
        for kind in ("groups", "profiles", "assets"):
            (folder / kind).mkdir(parents=True)
        boot = {"kernel": "/assets/vmlinuz", "initrd": ["/assets/initrd.img"], "args": ["ip=dhcp"]}
        (folder / "profiles" / "rhel9.json").write_text(json.dumps({"id": "rhel9", "boot": boot}))
        for n in range(count):
            group = {"id": f"m{n}", "profile": "rhel9", "selector": {"mac": mac(n)}}
            (folder / "groups" / f"m{n}.json").write_text(json.dumps(group))

    def command(self) -> list[str]:
        """What starts it."""
        words = ["-address", f"127.0.0.1:{self.port}", "-data-path", str(self.folder)]
        return [self._name, *words, "-assets-path", str(self.folder / "assets")]

    def path(self, number: int) -> str:
        """Where a machine's script is."""
        return f"/ipxe?mac={mac(number)}"


def get(path: str, purpose: str = "script", method: str = "GET") -> Ask:
    """A request."""
    return purpose, f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def scripts(server: Ours | Matchbox, numbers: Sequence[int]) -> Answers:
    """Those of machines, in this order."""

    def client(share: Sequence[int]) -> Client:
        for number in share:
            yield get(server.path(number))

    shares = (client(numbers[start::CONNECTIONS]) for start in range(CONNECTIONS))
    return asyncio.run(ask(server.port, shares, CONNECTIONS))


def storm(server: Ours, count: int) -> Answers:
    """Every machine from its script to the heads of its kernel and ramdisk."""

    def client(number: int) -> Client:
        script = (yield get(server.path(number))).decode()
        (rendered,) = re.findall(r" inst\.ks=https?://[^/]+(\S+)", script)
        yield get(rendered, "render")
        for path in re.findall(r"(?m)^(?:kernel|initrd --name \S+) https?://[^/]+(\S+)", script):
            yield get(path, "head", "HEAD")

    return asyncio.run(ask(server.port, (client(n) for n in range(count)), CONNECTIONS))


def line(size: int, what: str, answers: Answers, beside: Answers | None) -> str:
    """A row of the table."""
    theirs = " | | |"
    if beside:
        ratio = beside.rate / answers.rate
        theirs = f" | {beside.rate:,.0f} | {beside.p99() * 1000:.1f} | {ratio:.2f} |"
    ours = f"{answers.rate:,.0f} | {answers.p99() * 1000:.1f} | {answers.lost}"
    return f"| {size:,} | {what} | {ours}{theirs}"


def main() -> None:
    """Prints the tables, and how busy the machine was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 1000, 10_000])
    parser.add_argument("--requests", type=int, default=10_000, help="for scripts, of each size")
    parser.add_argument("--storm", type=int, default=10_000, help="machines")
    options = parser.parse_args()
    os.environ |= {"GOOSED_RATE_ADDRESS": "none", "GOOSED_RATE_MACHINE": "none"}
    matchbox = program_of("matchbox")
    before = os.getloadavg()[0]
    drawn = random.Random(1)  # noqa: S311 - which machine asks
    print("| machines | what | scripts/s | p99, ms | lost | matchbox's | p99, ms | ours / its |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="goose-bench-") as folder:
        for size in options.sizes:
            ours = Ours(Path(folder, f"ours-{size}"), size)
            numbers = [drawn.randrange(size) for _ in range(options.requests)]
            theirs = None
            if matchbox:
                peer = Matchbox(matchbox, Path(folder, f"matchbox-{size}"), size)
                few = numbers[: max(200, options.requests * 10 // size)]  # it slows with the size
                with running(peer.command(), peer.port):
                    theirs = scripts(peer, few)
            with running(ours.command(), ours.port):
                print(line(size, "first scripts", scripts(ours, range(size)), None), flush=True)
                print(line(size, "scripts again", scripts(ours, numbers), theirs), flush=True)
        ours = Ours(Path(folder, "storm"), options.storm)
        with running(ours.command(), ours.port):
            answers = storm(ours, options.storm)
    print(f"storm of {options.storm:,}: {answers.wall:.1f} s, {answers.lost} lost; p99 in ms:")
    for purpose, times in answers.seconds.items():
        print(f"  {purpose}: {len(times):,} requests, {answers.p99(purpose) * 1000:.1f}")
    print(f"load average {before:.1f} before, {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
