"""Ctrl-C and SIGTERM in the middle of what takes long: exit 130, and one line on how to go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bundles.making import build
from bundles.making.plan import Plan
from bundles.progress import Preflight
from bundles.sealing import seal
from bundles.signing.agekey import generate
from bundles.signing.sshsig import BUNDLE, signature_length
from tests.bundles.making import Workshop

# Sends itself a signal when a file whose name holds a word is opened for writing.
_SIGNALLED = """
import os, sys
number, word, *command = sys.argv[1:]
def hook(event, given):
    if event == "open" and word in str(given[0]) and given[2] & (os.O_WRONLY | os.O_RDWR):
        os.kill(os.getpid(), int(number))
sys.addaudithook(hook)
from goosectl.main import main
sys.exit(main(command))
"""


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    shop = Workshop(tmp_path)
    (tmp_path / "home/trust").mkdir(parents=True)
    (tmp_path / "home/trust/root.json").write_bytes(shop.root.render())
    (tmp_path / "base.yaml").write_text(
        "apiVersion: goose/v1\nkind: Bundle\nname: base\nversion: 1.0.0\naudience: any\n"
        "contents:\n  - tree: ./tree\n    as: os\n"
    )
    return shop


def run(shop: Workshop, number: int, word: str, *command: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", _SIGNALLED, str(number), word, *command],
        cwd=shop.folder,
        env={**os.environ, "GOOSE_HOME": str(shop.folder / "home")},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_import_says_how_to_go_on(shop: Workshop, number: int) -> None:
    shop.build()
    code, out, err = run(shop, number, "staging", "bundle", "import", "out")
    assert (code, out) == (130, "")
    assert err.splitlines()[-2:] == [
        "error: interrupted: what was verified is kept, what was served is served",
        "hint: run it again: it goes on where it stopped",
    ]
    code, out, err = run(shop, number, "no such file", "bundle", "import", "out", "--json")
    assert (code, json.loads(out)["state"]) == (0, "complete")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("sealed", [False, True])
def test_an_interrupted_build_leaves_nothing(shop: Workshop, number: int, sealed: bool) -> None:
    to: list[str] = []
    if sealed:
        generate(shop.folder, "site")
        to = ["--to", "site.agepub"]
    command = ("bundle", "build", "base.yaml", "--key", "keys/release", "--out", "media", *to)
    code, out, err = run(shop, number, ".partial", *command, "--json")
    refusal = json.loads(err.splitlines()[-1])
    assert (code, out, refusal["code"]) == (130, "", "interrupted")
    assert "media holds nothing new" in refusal["error"]
    assert list((shop.folder / "media").iterdir()) == []
    assert run(shop, number, "no such file", *command)[0] == 0


class CtrlC:
    """Progress that presses Ctrl-C at the first byte that is sealed."""

    def __init__(self) -> None:
        self.stage, self.sealed = "", 0

    def preflight(self, needs: Preflight) -> None: ...
    def volume(self, file: str, number: int, of: int) -> None: ...
    def finish(self) -> None: ...
    def start(self, stage: str, total: int | None) -> None:
        self.stage = stage

    def advance(self, count: int, item: str | None = None) -> None:
        if self.stage == "building":
            self.sealed += count
            if self.sealed == count:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.5)  # until the main thread has seen it


def test_ctrl_c_is_obeyed_in_the_middle_of_a_sealed_volume(shop: Workshop) -> None:
    with open(shop.tree / "large", "wb") as file:
        file.truncate(64 * 2**20)
    pressed = CtrlC()
    plan = Plan(shop.artifacts(), shop.draft(), [signature_length(shop.signer.public, BUNDLE)])
    recipients = [seal.recipient(generate(shop.folder, "site")[2])]
    with pytest.raises(KeyboardInterrupt):
        build.build(plan, [shop.signer], shop.folder / "media", pressed, recipients)
    assert pressed.sealed < 64 * 2**20
    assert list((shop.folder / "media").iterdir()) == []
