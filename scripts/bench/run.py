"""make bench: Goose beside its peers, in one run.

Usage: python scripts/bench/run.py [--rounds N] [--folder DIR] [--only NAME]...
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))

import limits as at_best
from asking import Client, ask
from inputs import GIB, GOOSECTL, copy_and_sync, make_input, random_file, size_of
from limits import probe
from measure import HEADER, Side, compare, row
from peers import against_hauler, against_restic, against_zarf
from sealed import against_age
from telemetry import with_signals


class Bench:
    """One run of everything, in a folder of its own."""

    def __init__(self, folder: Path, rounds: int) -> None:
        self.folder, self.rounds = folder, rounds
        self.limits: list[str] = []  # rows of the second table
        self.env = dict(os.environ, GOOSE_HOME=str(folder / "site"))
        os.environ["GOOSE_HOME"] = self.env["GOOSE_HOME"]

    def goosectl(self, *words: str) -> None:
        """Runs a command that is not measured."""
        subprocess.run([*GOOSECTL, "--quiet", *words], check=True)

    def prepare(self, recipe: str, contents: str) -> Path:
        """Writes a recipe; makes key and trust root once."""
        if not (self.folder / "release").exists():
            self.goosectl("key", "new", "release", "--out", str(self.folder))
            self.goosectl("trust", "init", "--signer", str(self.folder / "release.pub"), "--yes")
        path = self.folder / f"{recipe}.yaml"
        path.write_text(
            f"apiVersion: goose/v1\nkind: Bundle\nname: {recipe}\nversion: 1.0.0\n"
            f"audience: any\ncontents:\n{contents}"
        )
        return path

    def fresh(self, *paths: Path) -> None:
        """Removes results of the run before, and lets the disk come to rest."""
        for path in paths:
            if path.is_file():
                path.unlink()
            shutil.rmtree(path, ignore_errors=True)
        os.sync()

    def recipient(self) -> tuple[Path, Path]:
        """The public and the secret key of a site, made once."""
        public, secret = self.folder / "site.agepub", self.folder / "site.agekey"
        if not public.exists():
            self.goosectl("key", "new-recipient", "site", "--out", str(self.folder))
        return public, secret

    def build_and_import(self) -> Iterator[str]:
        """A real tree of more than 2 GB against what copies the same bytes and hashes nothing."""
        data, copy, out = self.folder / "in", self.folder / "copy", self.folder / "out"
        store, file = self.folder / "site" / "store", self.folder / "peer.tar"
        make_input(data)
        size = size_of(data)
        recipe = self.prepare("tree", "  - tree: ./in\n    as: data\n")
        build = [*GOOSECTL, "bundle", "build", str(recipe), "--quiet"]
        build += ["--key", str(self.folder / "release"), "--out", str(out)]
        load = [*GOOSECTL, "bundle", "import", str(out), "--quiet"]
        pack = ["sh", "-c", 'tar -C "$1" -cf "$2" . && sync -f "$2"', "sh", str(data), str(file)]
        give = 'mkdir "$2" && tar -C "$2" -xf "$1" && sync -f "$2"'
        unpack = ["sh", "-c", give, "sh", str(file), str(copy)]
        copying = Side("cp -a, sync", copy_and_sync(data, copy), lambda: self.fresh(copy))
        packing = Side("tar, sync", pack, lambda: self.fresh(file))
        for peer, goal in ((copying, "1.15"), (packing, "told")):
            ours = Side("goosectl bundle build", build, lambda: self.fresh(out))
            compare(ours, peer, self.rounds, self.folder)
            yield row("build, open, one volume", ours, peer, goal)
        limits = probe(self.folder)
        self.limits.append(limits.row("build, open, one volume", ours, size, 2 * size, 0))
        copying = Side("cp -a, sync", copy_and_sync(data, copy), lambda: self.fresh(copy))
        unpacking = Side("tar -x, sync", unpack, lambda: self.fresh(copy))
        for peer, goal in ((copying, "1.15"), (unpacking, "told")):
            ours = Side("goosectl bundle import", load, lambda: self.fresh(store))
            compare(ours, peer, self.rounds, self.folder)
            yield row("import, open, one volume", ours, peer, goal)
        self.limits.append(limits.row("import, open, one volume", ours, size, size, 0))
        again = Side("import again", load)
        first = Side("the first import", load, lambda: self.fresh(store))
        compare(again, first, 1, self.folder)
        yield row("import of what is there", again, first, "small")
        verify = Side("bundle verify", [*GOOSECTL, "bundle", "verify", str(out), "--quiet"])
        (volume,) = out.glob("*.goose.tar")
        summing = Side("sha256sum", ["sha256sum", str(volume)])
        compare(verify, summing, self.rounds, self.folder)
        yield row("verify, open, one volume", verify, summing, "told")
        self.limits.append(limits.row("verify, open, one volume", verify, 0, 2 * size, 0))
        self.fresh(copy, out, store, file)

    def small(self) -> Iterator[str]:
        """200,000 small files, where names cost more than bytes."""
        data, copy, out = self.folder / "small", self.folder / "copy", self.folder / "out-small"
        store = self.folder / "site" / "store"
        for number in range(200_000):
            folder = data / f"{number // 1000:03d}"
            if number % 1000 == 0:
                folder.mkdir(parents=True)
            (folder / f"{number}.conf").write_bytes(b"%d\n" % number * 150)
        recipe = self.prepare("small", "  - tree: ./small\n    as: small\n")
        build = [*GOOSECTL, "bundle", "build", str(recipe), "--quiet"]
        build += ["--key", str(self.folder / "release"), "--out", str(out)]
        peer = Side("cp -a, sync", copy_and_sync(data, copy), lambda: self.fresh(copy))
        ours = Side("goosectl bundle build", build, lambda: self.fresh(out))
        compare(ours, peer, 1, self.folder)
        yield row("build of 200,000 small files", ours, peer, "told")
        peer = Side("cp -a, sync", copy_and_sync(data, copy), lambda: self.fresh(copy))
        load = [*GOOSECTL, "bundle", "import", str(out), "--quiet"]
        ours = Side("goosectl bundle import", load, lambda: self.fresh(store))
        compare(ours, peer, 1, self.folder)
        yield row("import of 200,000 small files", ours, peer, "told")
        self.fresh(data, copy, out, store)

    def help(self) -> Iterator[str]:
        """The price of starting the command line."""
        ours = Side("goosectl --help", [*GOOSECTL, "--help"])
        peer = Side("python -c pass", [sys.executable, "-c", "pass"])
        compare(ours, peer, 4 * self.rounds, self.folder)
        yield row("goosectl --help", ours, peer, "5")

    def download(self) -> Iterator[str]:
        """A file of 1 GiB and one of 2 KiB, over HTTP against nginx."""
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        curl = shutil.which("curl")
        if not nginx or not curl:
            print("download: needs nginx and curl; `sudo make parts` installs them")
            return
        random_file(self.folder / "www" / "large.bin", GIB)
        random_file(self.folder / "www" / "small.bin", 2048)
        recipe = self.prepare("large", "  - tree: ./www\n    as: www\n")
        out = self.folder / "out-large"
        key = str(self.folder / "release")
        self.goosectl("bundle", "build", str(recipe), "--key", key, "--out", str(out))
        self.goosectl("bundle", "import", str(out))
        with self.nginx(nginx) as theirs, self.goosed() as mine:
            get = [curl, "-sf", "-o", "/dev/null"]
            ours = Side("goosed", [*get, f"{mine}/v1/artifacts/large/www/large.bin"])
            peer = Side("nginx, sendfile", [*get, f"{theirs}/large.bin"])
            compare(ours, peer, 2 * self.rounds, self.folder)
            yield row("1 GiB over HTTP", ours, peer, "1.05")
            ours = Side("goosed", lambda: many(f"{mine}/v1/artifacts/large/www/small.bin"))
            peer = Side("nginx, sendfile", lambda: many(f"{theirs}/small.bin"))
            compare(ours, peer, 2 * self.rounds, self.folder)
            yield row("4,000 times 2 KiB over HTTP, 16 connections", ours, peer, "told")

    @contextmanager
    def goosed(self) -> Iterator[str]:
        """A daemon over the site, on a free port of loopback."""
        port = free_port()
        command = [*GOOSECTL, "serve", "--lab", "--listen", f"127.0.0.1:{port}"]
        with running(command, port):
            yield f"http://127.0.0.1:{port}"

    @contextmanager
    def nginx(self, program: str) -> Iterator[str]:
        """nginx with one worker and sendfile over the folder www."""
        port, conf = free_port(), self.folder / "nginx.conf"
        work = self.folder
        # As root its worker would become a user who cannot read a temporary folder.
        user = "user root;" if os.geteuid() == 0 else ""
        paths = "".join(
            f"{kind}_temp_path {work}/nginx-{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        conf.write_text(
            f"daemon off; {user} worker_processes 1; pid {work}/nginx.pid;"
            f" error_log {work}/nginx.log; events {{}}"
            " http { sendfile on; tcp_nopush on; access_log off;"
            f" {paths} server {{ listen 127.0.0.1:{port}; root {work}/www; }} }}"
        )
        with running([program, "-e", f"{work}/nginx.log", "-c", str(conf)], port):
            yield f"http://127.0.0.1:{port}"


def many(url: str, requests: int = 4000, connections: int = 16) -> None:
    """Fetches the same file so often."""
    address = urlsplit(url)
    asked = f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()

    def client() -> Client:
        for _ in range(requests // connections):
            yield "file", asked

    assert address.port is not None
    answers = asyncio.run(ask(address.port, (client() for _ in range(connections)), connections))
    if answers.lost:
        raise SystemExit(f"{url}: {answers.lost} lost")


def free_port() -> int:
    """A port of loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """A server that is stopped at the end."""
    with open(os.devnull, "wb") as null:
        process = subprocess.Popen(command, stdout=null, stderr=null)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(f"{command[0]} ended at once") from None
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


PARTS = {
    "help": Bench.help,
    "build": Bench.build_and_import,
    "sealed": against_age,
    "restic": against_restic,
    "zarf": against_zarf,
    "hauler": against_hauler,
    "small": Bench.small,
    "download": Bench.download,
    "telemetry": with_signals,
}


def main() -> None:
    """Runs the benchmarks and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds of each pair")
    parser.add_argument("--folder", type=Path, help="where to work; needs 8 GB")
    parser.add_argument("--only", action="append", choices=list(PARTS))
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled once
    with tempfile.TemporaryDirectory(prefix="goose-bench-", dir=options.folder) as folder:
        bench = Bench(Path(folder), options.rounds)
        print(HEADER, flush=True)
        for name, part in PARTS.items():
            if not options.only or name in options.only:
                for line in part(bench):
                    print(line, flush=True)
        if bench.limits:
            print(at_best.HEADER, *bench.limits, sep="\n")


if __name__ == "__main__":
    main()
