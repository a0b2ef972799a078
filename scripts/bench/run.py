"""make bench: Goose beside its peers, in one run.

Usage: python scripts/bench/run.py [--rounds N] [--folder DIR] [--only NAME]...
"""

from __future__ import annotations

import argparse
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

sys.path.insert(0, str(Path(__file__).parent))

from measure import HEADER, Side, compare, row

GIB = 1024**3
TREE_BYTES = 1_200_000_000
GOOSECTL = [str(Path(sys.executable).with_name("goosectl"))]


def make_input(folder: Path) -> None:
    """A tree as an operating system has it, and one large file that nothing compresses."""
    tree, size = folder / "usr", 0
    for base, folders, names in os.walk("/usr"):
        folders.sort()
        for name in sorted(names):
            source = Path(base, name)
            if size >= TREE_BYTES or source.is_symlink() or not os.access(source, os.R_OK):
                continue
            target = tree / source.relative_to("/usr")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
            size += target.stat().st_size
    random_file(folder / "large.bin", GIB)


def random_file(path: Path, size: int) -> None:
    """`size` random bytes at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.writelines(os.urandom(1 << 20) for _ in range(size >> 20))


def copy_and_sync(source: Path, target: Path) -> list[str]:
    """`cp -a` and a sync of what it wrote."""
    return ["sh", "-c", 'cp -a "$1" "$2" && sync -f "$2"', "sh", str(source), str(target)]


class Bench:
    """One run of everything, in a folder of its own."""

    def __init__(self, folder: Path, rounds: int) -> None:
        self.folder, self.rounds = folder, rounds
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

    def build_and_import(self) -> Iterator[str]:
        """A real tree of more than 2 GB against `cp -a` and sync of the same bytes."""
        data, copy, out = self.folder / "in", self.folder / "copy", self.folder / "out"
        store = self.folder / "site" / "store"
        make_input(data)
        recipe = self.prepare("tree", "  - tree: ./in\n    as: data\n")
        build = [*GOOSECTL, "bundle", "build", str(recipe), "--quiet"]
        build += ["--key", str(self.folder / "release"), "--out", str(out)]
        ours = Side("goosectl bundle build", build, lambda: self.fresh(out))
        peer = Side("cp -a, sync", copy_and_sync(data, copy), lambda: self.fresh(copy))
        compare(ours, peer, self.rounds, self.folder)
        yield row("build, open, one volume", ours, peer, "1.15")
        load = [*GOOSECTL, "bundle", "import", str(out), "--quiet"]
        ours = Side("goosectl bundle import", load, lambda: self.fresh(store))
        peer = Side("cp -a, sync", copy_and_sync(data, copy), lambda: self.fresh(copy))
        compare(ours, peer, self.rounds, self.folder)
        yield row("import, open, one volume", ours, peer, "1.15")
        again = Side("import again", load)
        first = Side("the first import", load, lambda: self.fresh(store))
        compare(again, first, 1, self.folder)
        yield row("import of what is there", again, first, "small")
        self.fresh(copy, out, store)

    def sealed(self) -> Iterator[str]:
        """The same tree, encrypted on its way, against tar and the age program."""
        age = shutil.which("age")
        if not age:
            print("sealed: needs age; `sudo make parts` installs it")
            return
        data, out, plain = self.folder / "in", self.folder / "sealed", self.folder / "plain"
        store, peer_file = self.folder / "site" / "store", self.folder / "peer.tar.age"
        if not data.exists():
            make_input(data)
        self.goosectl("key", "new-recipient", "site", "--out", str(self.folder))
        public, secret = self.folder / "site.agepub", self.folder / "site.agekey"
        pack = 'tar -C "$1" -cf - . | "$2" -R "$3" -o "$4" && sync -f "$4"'
        unpack = 'mkdir "$4" && "$2" -d -i "$3" "$1" | tar -C "$4" -xf - && sync -f "$4"'
        theirs = ["sh", "-c", pack, "sh", str(data), age, str(public), str(peer_file)]
        for title, size in (("one volume", []), ("two volumes", ["--volume-size", "1250M"])):
            recipe = self.prepare("tree", "  - tree: ./in\n    as: data\n")
            build = [*GOOSECTL, "bundle", "build", str(recipe), "--quiet", *size]
            build += ["--key", str(self.folder / "release"), "--out", str(out)]
            ours = Side("bundle build --to", [*build, "--to", str(public)], lambda: self.fresh(out))
            peer = Side("tar, age, sync", theirs, lambda: self.fresh(peer_file))
            compare(ours, peer, self.rounds, self.folder)
            yield row(f"build, sealed, {title}", ours, peer, "1")
            load = [*GOOSECTL, "bundle", "import", str(out), "--quiet", "--identity", str(secret)]
            back = ["sh", "-c", unpack, "sh", str(peer_file), age, str(secret), str(plain)]
            ours = Side("bundle import --identity", load, lambda: self.fresh(store))
            peer = Side("age -d, tar, sync", back, lambda: self.fresh(plain))
            compare(ours, peer, self.rounds, self.folder)
            yield row(f"import, sealed, {title}", ours, peer, "1")
        self.fresh(data, out, plain, store)

    def help(self) -> Iterator[str]:
        """The price of starting the command line."""
        ours = Side("goosectl --help", [*GOOSECTL, "--help"])
        peer = Side("python -c pass", [sys.executable, "-c", "pass"])
        compare(ours, peer, 4 * self.rounds, self.folder)
        yield row("goosectl --help", ours, peer, "5")

    def download(self) -> Iterator[str]:
        """A file of 1 GiB over HTTP against nginx."""
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        curl = shutil.which("curl")
        if not nginx or not curl:
            print("download: needs nginx and curl; `sudo make parts` installs them")
            return
        random_file(self.folder / "www" / "large.bin", GIB)
        recipe = self.prepare("large", "  - file: ./www/large.bin\n    as: large.bin\n")
        out = self.folder / "out-large"
        key = str(self.folder / "release")
        self.goosectl("bundle", "build", str(recipe), "--key", key, "--out", str(out))
        self.goosectl("bundle", "import", str(out))
        with self.nginx(nginx) as theirs, self.goosed() as mine:
            get = [curl, "-sf", "-o", "/dev/null"]
            ours = Side("goosed", [*get, f"{mine}/v1/artifacts/large/large.bin"])
            peer = Side("nginx, sendfile", [*get, f"{theirs}/large.bin"])
            compare(ours, peer, 2 * self.rounds, self.folder)
        yield row("1 GiB over HTTP", ours, peer, "1.05")

    @contextmanager
    def goosed(self) -> Iterator[str]:
        """A daemon over the site, on a free port of loopback."""
        port = free_port()
        command = [*GOOSECTL, "serve", "--listen", f"127.0.0.1:{port}"]
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


def main() -> None:
    """Runs the benchmarks and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds of each pair")
    parser.add_argument("--folder", type=Path, help="where to work; needs 8 GB")
    parser.add_argument("--only", action="append", choices=["build", "sealed", "help", "download"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="goose-bench-", dir=options.folder) as folder:
        bench = Bench(Path(folder), options.rounds)
        parts = {
            "help": bench.help,
            "build": bench.build_and_import,
            "sealed": bench.sealed,
            "download": bench.download,
        }
        print(HEADER, flush=True)
        for name, part in parts.items():
            if not options.only or name in options.only:
                for line in part():
                    print(line, flush=True)


if __name__ == "__main__":
    main()
