"""Sealed and open bundles beside other tools that carry files over an air gap or into a safe.

Each program is named by an environment variable or found on PATH; where there is none its part says
so and is left out.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from inputs import GOOSECTL, make_input
from measure import Side, compare, row

if TYPE_CHECKING:
    from run import Bench


def program_of(name: str) -> str | None:
    """Where a peer's program is; says so where it is not."""
    variable = f"GOOSE_BENCH_{name.upper()}"
    program = os.environ.get(variable) or shutil.which(name)
    if not program:
        print(f"{name}: neither on PATH nor named by {variable}; left out")
    return program


class _Ours:
    """Build and import of the tree, sealed or not, as one side of a comparison."""

    def __init__(self, bench: Bench, sealed: bool) -> None:
        self.bench, self.data = bench, bench.folder / "in"
        self.out, self.store = bench.folder / "ours", bench.folder / "site" / "store"
        if not self.data.exists():
            make_input(self.data)
        public, secret = bench.recipient()
        recipe = bench.prepare("tree", "  - tree: ./in\n    as: data\n")
        self._build = [*GOOSECTL, "bundle", "build", str(recipe), "--quiet"]
        self._build += ["--key", str(bench.folder / "release"), "--out", str(self.out)]
        self._import = [*GOOSECTL, "bundle", "import", str(self.out), "--quiet"]
        if sealed:
            self._build += ["--to", str(public)]
            self._import += ["--identity", str(secret)]

    def build(self) -> Side:
        return Side("bundle build", self._build, lambda: self.bench.fresh(self.out))

    def load(self) -> Side:
        return Side("bundle import", self._import, lambda: self.bench.fresh(self.store))

    def against(self, pack: Side, unpack: Side, rounds: int, kind: str) -> Iterator[str]:
        for title, ours, peer in (("build", self.build(), pack), ("import", self.load(), unpack)):
            compare(ours, peer, rounds, self.bench.folder)
            yield row(f"{title}, {kind}, one volume", ours, peer, "told")
        self.bench.fresh(self.out, self.store)


def against_restic(bench: Bench) -> Iterator[str]:
    """The same tree into and out of a repository of restic, which encrypts too."""
    program = program_of("restic")
    if not program:
        return
    ours = _Ours(bench, sealed=True)
    plain, repo = bench.folder / "plain", bench.folder / "restic"
    os.environ.update({"RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(repo)})

    def empty() -> None:
        bench.fresh(repo)
        subprocess.run([program, "init", "-q"], check=True)

    take = 'cd "$1" && "$2" -q --no-cache backup . && sync -f "$3"'
    give = '"$1" -q --no-cache restore latest -t "$2" && sync -f "$2"'
    pack = ["sh", "-c", take, "sh", str(ours.data), program, str(repo)]
    unpack = ["sh", "-c", give, "sh", program, str(plain)]
    yield from ours.against(
        Side("restic backup, sync", pack, empty),
        Side("restic restore, sync", unpack, lambda: bench.fresh(plain)),
        bench.rounds,
        "sealed",
    )
    bench.fresh(plain, repo)


def against_zarf(bench: Bench) -> Iterator[str]:
    """The same tree as one folder in a package of zarf, and put in place from it."""
    program = program_of("zarf")
    if not program:
        return
    ours = _Ours(bench, sealed=False)
    work, plain = bench.folder / "zarf", bench.folder / "plain"
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "amd64")
    (bench.folder / "zarf.yaml").write_text(
        "kind: ZarfPackageConfig\n"
        f"metadata:\n  name: bench\n  version: 1.0.0\n  architecture: {machine}\n"
        "components:\n  - name: data\n    required: true\n    files:\n"
        f"      - source: in\n        target: {plain}\n"
    )
    common = '"$1" package "$2" "$3" --confirm --no-progress --tmpdir "$4"'
    pack = ["sh", "-c", f'{common} -o "$5" --skip-sbom && sync -f "$5"', "sh", program, "create"]
    pack += [str(bench.folder), str(work), str(work)]
    file = work / f"zarf-package-bench-{machine}-1.0.0.tar.zst"
    unpack = ["sh", "-c", f'{common} && sync -f "$5"', "sh", program, "deploy"]
    unpack += [str(file), str(work), str(plain)]

    def empty() -> None:
        bench.fresh(work)
        work.mkdir()

    yield from ours.against(
        Side("zarf package create, sync", pack, empty),
        Side("zarf package deploy, sync", unpack, lambda: bench.fresh(plain)),
        1,
        "open",
    )
    bench.fresh(work, plain)


def against_hauler(bench: Bench) -> Iterator[str]:
    """The same tree as one folder in a store of hauler, saved, and loaded and extracted again."""
    program = program_of("hauler")
    if not program:
        return
    ours = _Ours(bench, sealed=False)
    work, plain = bench.folder / "hauler", bench.folder / "plain"
    take = (
        'cd "$2" && "$1" store add file "$3" -s "$2/store" && '
        '"$1" store save -s "$2/store" -f "$2/haul.tar.zst" && sync -f "$2"'
    )
    give = (
        'cd "$2" && "$1" store load -s "$2/loaded" -f "$2/haul.tar.zst" && '
        '"$1" store extract hauler/in:latest -s "$2/loaded" -o "$3" && sync -f "$3"'
    )
    pack = ["sh", "-c", take, "sh", program, str(work), str(ours.data)]
    unpack = ["sh", "-c", give, "sh", program, str(work), str(plain)]

    def empty() -> None:
        bench.fresh(work)
        work.mkdir()

    def unloaded() -> None:
        bench.fresh(work / "loaded", plain)
        Path(plain).mkdir()

    yield from ours.against(
        Side("hauler add, save, sync", pack, empty),
        Side("hauler load, extract, sync", unpack, unloaded),
        1,
        "open",
    )
    bench.fresh(work, plain)
