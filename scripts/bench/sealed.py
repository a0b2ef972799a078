"""Sealed bundles beside what encrypts too: tar and age, and restic."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

from inputs import GOOSECTL, make_input
from measure import Side, compare, row

if TYPE_CHECKING:
    from run import Bench


def against_age(bench: Bench) -> Iterator[str]:
    """The same tree, encrypted on its way, against tar and the age program."""
    age = shutil.which("age")
    if not age:
        print("sealed: needs age; `sudo make parts` installs it")
        return
    data, out, plain = bench.folder / "in", bench.folder / "sealed", bench.folder / "plain"
    store, peer_file = bench.folder / "site" / "store", bench.folder / "peer.tar.age"
    if not data.exists():
        make_input(data)
    bench.goosectl("key", "new-recipient", "site", "--out", str(bench.folder))
    public, secret = bench.folder / "site.agepub", bench.folder / "site.agekey"
    pack = 'tar -C "$1" -cf - . | "$2" -R "$3" -o "$4" && sync -f "$4"'
    unpack = 'mkdir "$4" && "$2" -d -i "$3" "$1" | tar -C "$4" -xf - && sync -f "$4"'
    theirs = ["sh", "-c", pack, "sh", str(data), age, str(public), str(peer_file)]
    for title, size in (("one volume", []), ("two volumes", ["--volume-size", "1250M"])):
        recipe = bench.prepare("tree", "  - tree: ./in\n    as: data\n")
        build = [*GOOSECTL, "bundle", "build", str(recipe), "--quiet", *size]
        build += ["--key", str(bench.folder / "release"), "--out", str(out)]
        ours = Side("bundle build --to", [*build, "--to", str(public)], lambda: bench.fresh(out))
        peer = Side("tar, age, sync", theirs, lambda: bench.fresh(peer_file))
        compare(ours, peer, bench.rounds, bench.folder)
        yield row(f"build, sealed, {title}", ours, peer, "1")
        load = [*GOOSECTL, "bundle", "import", str(out), "--quiet", "--identity", str(secret)]
        back = ["sh", "-c", unpack, "sh", str(peer_file), age, str(secret), str(plain)]
        ours = Side("bundle import --identity", load, lambda: bench.fresh(store))
        peer = Side("age -d, tar, sync", back, lambda: bench.fresh(plain))
        compare(ours, peer, bench.rounds, bench.folder)
        yield row(f"import, sealed, {title}", ours, peer, "1")
    bench.fresh(data, out, plain, store)


def against_restic(bench: Bench) -> Iterator[str]:
    """The same tree into and out of a repository of restic, which encrypts too."""
    program = os.environ.get("GOOSE_BENCH_RESTIC") or shutil.which("restic")
    if not program:
        print("restic: neither on PATH nor named by GOOSE_BENCH_RESTIC")
        return
    data, out, plain = bench.folder / "in", bench.folder / "sealed", bench.folder / "plain"
    store, repo = bench.folder / "site" / "store", bench.folder / "restic"
    public, secret = bench.folder / "site.agepub", bench.folder / "site.agekey"
    if not data.exists():
        make_input(data)
    recipe = bench.prepare("tree", "  - tree: ./in\n    as: data\n")
    if not public.exists():
        bench.goosectl("key", "new-recipient", "site", "--out", str(bench.folder))
    os.environ.update({"RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(repo)})

    def empty() -> None:
        bench.fresh(repo)
        subprocess.run([program, "init", "-q"], check=True)

    build = [*GOOSECTL, "bundle", "build", str(recipe), "--quiet", "--to", str(public)]
    build += ["--key", str(bench.folder / "release"), "--out", str(out)]
    take = 'cd "$1" && "$2" -q --no-cache backup . && sync -f "$3"'
    theirs = ["sh", "-c", take, "sh", str(data), program, str(repo)]
    ours = Side("bundle build --to", build, lambda: bench.fresh(out))
    peer = Side("restic backup, sync", theirs, empty)
    compare(ours, peer, bench.rounds, bench.folder)
    yield row("build, sealed, one volume", ours, peer, "1")
    give = '"$1" -q --no-cache restore latest -t "$2" && sync -f "$2"'
    load = [*GOOSECTL, "bundle", "import", str(out), "--quiet", "--identity", str(secret)]
    ours = Side("bundle import --identity", load, lambda: bench.fresh(store))
    back = ["sh", "-c", give, "sh", program, str(plain)]
    peer = Side("restic restore, sync", back, lambda: bench.fresh(plain))
    compare(ours, peer, bench.rounds, bench.folder)
    yield row("import, sealed, one volume", ours, peer, "1")
    bench.fresh(data, out, plain, store, repo)
