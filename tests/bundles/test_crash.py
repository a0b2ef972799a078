"""kill -9 at any moment: what was served is still served, nothing half is, and a rerun completes.

The real command line runs in processes of their own. Most are forked from a warm server, so that
there is time for a hundred deaths; they die before the N-th step that changes a folder, for every
N that matters and many that are drawn.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundles import digest as digests
from bundles.catalog import Catalog
from bundles.store import open_store
from tests.bundles.content import artifact, lay_out, listing, noise, served, under
from tests.bundles.making import Workshop

KILLED = -signal.SIGKILL
# Audit events of what changes a folder (Python library reference, "Audit events table").
STEPS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(
    [__name__, "goosectl.bundle.making", "goosectl.frame", "bundles.build", "bundles.recipe"]
)


def _life(home: Path, arguments: list[str], step: int, sign: int, told: str) -> None:
    """Runs goosectl; sends itself `sign` before step number `step`, counted from 1."""
    os.environ["GOOSE_HOME"] = str(home)
    count = 0

    def hook(event: str, given: tuple[object, ...]) -> None:
        nonlocal count
        if event not in STEPS or (event == "open" and not _writes(given)):
            return
        count += 1
        if count == step:
            os.kill(os.getpid(), sign)

    from goosectl.main import main

    with open(told, "w") as out, open(os.devnull, "w") as nowhere:
        sys.stdout, sys.stderr = nowhere, out
        sys.addaudithook(hook)
        code = main(["--json", *arguments])
        taken, count = count, 2**40
        print(json.dumps({"steps": taken}), file=out)
    sys.exit(code)


def _writes(given: tuple[object, ...]) -> bool:
    flags = given[2]
    return isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) != 0


@dataclass
class Life:
    """One process that runs goosectl."""

    process: multiprocessing.process.BaseProcess
    told: Path

    def end(self) -> int:
        """Its exit code; negative, the signal that killed it."""
        self.process.join()
        code = self.process.exitcode
        assert code is not None
        return code

    def lines(self) -> list[dict[str, object]]:
        """What it wrote to stderr."""
        return [json.loads(line) for line in self.told.read_text().splitlines()]


def live(home: Path, *arguments: str | Path, step: int = 0, sign: int = signal.SIGKILL) -> Life:
    """Starts goosectl in a process of its own."""
    home.mkdir(exist_ok=True)
    told = home / f"stderr-{time.monotonic_ns()}"
    process = _server.Process(
        target=_life, args=(home, [str(word) for word in arguments], step, sign, str(told))
    )
    process.start()
    return Life(process, told)


def steps_of(home: Path, *arguments: str | Path) -> int:
    """How many steps a whole run takes."""
    life = live(home, *arguments)
    assert life.end() == 0, life.told.read_text()
    return int(str(life.lines()[-1]["steps"]))


OLD = {f"d{n % 7}/f{n}": (noise(f"old{n // 2}", 900 + n), 0o644) for n in range(60)}
NEW = {
    f"d{n % 7}/f{n}": (noise(f"new{n}", 700 + n % 50), 0o644 + n % 2 * 0o111) for n in range(250)
}
NEW |= {"shared": OLD["d1/f1"], "large": (noise("large", 1_500_000), 0o644)}


class Site:
    """Media with two versions of a bundle, and a site that has imported the old one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workshop = Workshop(folder)
        self.key = folder / "keys/release"
        self.media = {}
        for number, content in ((1, OLD), (2, NEW)):
            source = lay_out(folder / f"t{number}", content)
            draft = self.workshop.draft(version=f"{number}.0", sequence=number)
            out = f"media{number}"
            self.workshop.build(draft, [artifact(source, "t")], out=out, volume_size=1_200_000)
            self.media[number] = folder / out
        self.home = folder / "home"
        (self.home / "trust").mkdir(parents=True)
        (self.home / "trust/root.json").write_bytes(self.workshop.root.render())
        assert live(self.home, "bundle", "import", self.media[1]).end() == 0

    def copy(self, name: str) -> Path:
        """A home of its own with the same content; blobs are linked, for they never change."""
        home = self.folder / name
        shutil.copytree(self.home / "trust", home / "trust")
        shutil.copytree(self.home / "store/blobs", home / "store/blobs", copy_function=os.link)
        for file in ("index.json", "oci-layout"):
            shutil.copy(self.home / "store" / file, home / "store")
        return home


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture
def home(site: Site) -> Iterator[Path]:
    """A copy of the site's home, for one test."""
    copy = site.copy(f"home-{time.monotonic_ns()}")
    yield copy
    shutil.rmtree(copy)


def check_whole(home: Path) -> None:
    """Old content is served; new content is served whole or not at all; every blob is right."""
    store = open_store(home / "store")
    old, new = under("t", OLD), under("t", NEW)
    assert served(store, version="1.0") == old
    assert served(store, version="2.0") in ({}, new)
    assert served(store) == (new if Catalog(store).ref("base", "2.0") else old)
    for digest in [blob.digest for blob in store.blobs()]:
        assert digests.of(store.read(digest, 2**21)) == digest
    index = json.loads((home / "store/index.json").read_bytes())
    for entry in index["manifests"]:
        assert store.has(entry["digest"])


def check_completed(home: Path) -> None:
    """The new version is served, and nothing is left of how it came."""
    check_whole(home)
    assert served(open_store(home / "store")) == under("t", NEW)
    assert not (home / "store/staging").exists()


def moments(steps: int, count: int) -> list[int]:
    """`count` of the steps 1 to `steps`: the first and last few, where everything is decided,
    and others that are drawn."""
    edges = {*range(1, 6), *range(steps - 14, steps + 1)}
    drawn = random.SystemRandom().sample(sorted(set(range(6, steps - 14))), count - len(edges))
    return sorted(edges | set(drawn))


def test_an_import_killed_at_any_step(site: Site, subtests: pytest.Subtests) -> None:
    command = ("bundle", "import", site.media[2])
    home = site.copy("whole")
    steps = steps_of(home, *command)
    check_completed(home)
    assert steps > 500
    for step in moments(steps, 100):
        with subtests.test(step=step):
            home = site.copy(f"killed-{step}")
            assert live(home, *command, step=step).end() == KILLED
            check_whole(home)
            assert live(home, *command).end() == 0
            check_completed(home)
            shutil.rmtree(home)


def test_an_import_killed_again_and_again_goes_on(site: Site, home: Path) -> None:
    """Each run gets a little further than the last, whatever the last left behind."""
    command = ("bundle", "import", site.media[2])
    deaths = 0
    while (code := live(home, *command, step=60).end()) == KILLED:
        check_whole(home)
        deaths += 1
        assert deaths < 30, "no progress from run to run"
    assert code == 0
    assert deaths > 3
    check_completed(home)


def test_the_command_line_killed_from_outside(site: Site) -> None:
    """A fresh interpreter each time, and the clock alone decides when it dies."""
    home = site.copy("outside")
    command = [sys.executable, "-m", "goosectl", "bundle", "import", str(site.media[2])]
    environment = {**os.environ, "GOOSE_HOME": str(home)}
    began = time.monotonic()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    whole = time.monotonic() - began
    killed = 0
    for number in range(8):
        home = site.copy(f"outside-{number}")
        environment["GOOSE_HOME"] = str(home)
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(whole * (0.4 + 0.08 * number))
        process.kill()
        killed += process.wait() == KILLED
        check_whole(home)
        subprocess.run(command, env=environment, check=True, capture_output=True)
        check_completed(home)
        shutil.rmtree(home)
    assert killed


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("tear", [_truncate, _zero, _empty, _flip])
def test_a_power_loss_tears_staged_blobs(
    site: Site, home: Path, tear: Callable[[Path], None]
) -> None:
    """What is in staging was never promised to be durable: it is hashed again."""
    command = ("bundle", "import", site.media[2])
    assert live(home, *command, step=180).end() == KILLED
    staged = [path for path in (home / "store/staging").rglob("*") if path.is_file()]
    assert len(staged) > 100
    for path in staged[::3]:
        tear(path)
    check_whole(home)
    assert live(home, *command).end() == 0
    check_completed(home)


def test_a_second_import_meanwhile_is_refused(site: Site, home: Path) -> None:
    command = ("bundle", "import", site.media[2])
    first = live(home, *command, step=100, sign=signal.SIGSTOP)
    assert first.process.pid is not None
    _wait_until_stopped(first.process.pid)
    second = live(home, *command)
    assert second.end() == 1
    assert second.lines()[0]["code"] == "store-busy"
    check_whole(home)
    os.kill(first.process.pid, signal.SIGCONT)
    assert first.end() == 0
    check_completed(home)


def _wait_until_stopped(pid: int) -> None:
    """Waits until the process is stopped: proc(5), /proc/PID/stat, field 3."""
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_imports_that_start_together(site: Site) -> None:
    for number in range(8):
        home = site.copy(f"race-{number}")
        command = ("bundle", "import", site.media[2])
        racers = [live(home, *command) for _ in range(3)]
        codes = [racer.end() for racer in racers]
        assert 0 in codes
        for code, racer in zip(codes, racers, strict=True):
            assert code == 0 or racer.lines()[0]["code"] == "store-busy"
        check_completed(home)
        shutil.rmtree(home)


RECIPE = """\
apiVersion: goose/v1
kind: Bundle
name: base
version: 2.0
sequence: 2
audience: any
contents:
  - tree: t2
    as: t
"""


def test_a_build_killed_at_any_step(site: Site, subtests: pytest.Subtests) -> None:
    """No volume has its final name before it is whole, and no list names one that is not."""
    recipe = site.folder / "base.yaml"
    recipe.write_text(RECIPE)

    def command(out: Path) -> tuple[str | Path, ...]:
        options = ("--key", site.key, "--volume-size", "600000", "--out", out)
        return ("bundle", "build", recipe, *options)

    whole = site.folder / "built"
    steps = steps_of(site.home, *command(whole))
    expected = listing(whole)
    assert len(expected) == 10
    for step in range(1, steps + 1):
        with subtests.test(step=step):
            out = site.folder / f"built-{step}"
            assert live(site.home, *command(out), step=step).end() == KILLED
            left = listing(out) if out.exists() else {}
            named = {name: data for name, data in left.items() if not name.startswith(".")}
            assert named.items() <= expected.items()
            if any(name.endswith(".json") for name in named):
                assert {n for n in expected if n.endswith(".tar")} <= set(named)
            for name in named:
                if name.endswith(".tar"):
                    site.workshop.check(out / name)
            if step % 7 == 1 and not named:
                # The next build takes away what this one left under temporary names.
                assert live(site.home, *command(out)).end() == 0
                assert listing(out) == expected
