"""Sealed bundles beside tar with the age program, and beside tar with pyrage."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from inputs import GOOSECTL, make_input, size_of
from limits import probe
from measure import Side, compare, row

if TYPE_CHECKING:
    from run import Bench

_PYRAGE = [
    sys.executable,
    "-c",
    """
import sys, pyrage
mode, key, source, target = sys.argv[1:]
words = [line for line in open(key).read().split() if line.lower().startswith("age")]
if mode == "seal":
    who = [pyrage.x25519.Recipient.from_str(words[-1])]
    pyrage.encrypt_io(sys.stdin.buffer, open(target, "wb"), who)
else:
    who = [pyrage.x25519.Identity.from_str(words[-1])]
    pyrage.decrypt_io(open(source, "rb"), sys.stdout.buffer, who)
""",
]


def against_age(bench: Bench) -> Iterator[str]:
    """The same tree, encrypted on its way, in one volume and in two."""
    age = shutil.which("age")
    if not age:
        print("sealed: needs age; `sudo make parts` installs it")
        return
    data, out, plain = bench.folder / "in", bench.folder / "sealed", bench.folder / "plain"
    store, file = bench.folder / "site" / "store", bench.folder / "peer.tar.age"
    if not data.exists():
        make_input(data)
    size = size_of(data)
    public, secret = bench.recipient()
    recipe = bench.prepare("tree", "  - tree: ./in\n    as: data\n")
    to_age = [age, "-R", str(public), "-o", str(file)]
    to_pyrage = [*_PYRAGE, "seal", str(public), "-", str(file)]
    of_age = [age, "-d", "-i", str(secret), str(file)]
    of_pyrage = [*_PYRAGE, "open", str(secret), str(file), "-"]
    pack = 'data=$1 file=$2; shift 2; tar -C "$data" -cf - . | "$@" && sync -f "$file"'
    unpack = 'plain=$1; shift; mkdir "$plain" && "$@" | tar -C "$plain" -xf - && sync -f "$plain"'
    for title, cut in (("one volume", []), ("two volumes", ["--volume-size", "1250M"])):
        build = [*GOOSECTL, "bundle", "build", str(recipe), "--quiet", *cut]
        build += ["--key", str(bench.folder / "release"), "--out", str(out), "--to", str(public)]
        load = [*GOOSECTL, "bundle", "import", str(out), "--quiet", "--identity", str(secret)]
        for name, seal, unseal in (("age", to_age, of_age), ("pyrage", to_pyrage, of_pyrage)):
            ours = Side("bundle build --to", build, lambda: bench.fresh(out))
            theirs = ["sh", "-c", pack, "sh", str(data), str(file), *seal]
            peer = Side(f"tar, {name}, sync", theirs, lambda: bench.fresh(file))
            compare(ours, peer, bench.rounds, bench.folder)
            yield row(f"build, sealed, {title}", ours, peer, "1")
            if name == "age":
                limits = probe(bench.folder)
                bench.limits.append(
                    limits.row(f"build, sealed, {title}", ours, size, 2 * size, size)
                )
            ours = Side("bundle import --identity", load, lambda: bench.fresh(store))
            theirs = ["sh", "-c", unpack, "sh", str(plain), *unseal]
            peer = Side(f"{name} -d, tar, sync", theirs, lambda: bench.fresh(plain))
            compare(ours, peer, bench.rounds, bench.folder)
            yield row(f"import, sealed, {title}", ours, peer, "1")
            if name == "age":
                bench.limits.append(limits.row(f"import, sealed, {title}", ours, size, size, size))
        again = Side("import again", load)
        first = Side("the first import", load, lambda: bench.fresh(store))
        compare(again, first, 1, bench.folder)
        yield row(f"import of what is there, sealed, {title}", again, first, "small")
    bench.fresh(data, out, plain, store, file)
