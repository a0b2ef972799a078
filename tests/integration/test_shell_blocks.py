"""Every shell block of README.md and of the quickstart, run as somebody does who pastes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import copied
from tests.integration.transcript import in_order
from tests.parts import part
from tests.shell_blocks import ROOT, shell_blocks

PARTS = ("git", "curl", "openssl", "ssh-keygen", "tar", "unshare", "ip")

#: All that no test can run, and where else it is run.
NOT_RUN = {
    "README.md": {
        "it is what runs them": "make test",
        "Docker Desktop": "make image charts",  # on another Kubernetes: tests/stack
    },
    "docs/quickstart.md": {},
}

#: What a reader is to see, in this order.
SEEN = (
    "All done, and goosed is stopped again",
    '"ready": true',
    "all of it answers",
    "media/site-base-2026.11.1.1of1.goose.tar",
    "complete: served at /v1/artifacts/site-base/",
    "# web-1.site-a.example.org: profile rhel9",
    "# mirror.site-a.example.org",
    "<!-- Written by Goose for files-1",
    "running since",
    "its content is to be imported again:",
    "--- docs-quickstart.md",
    "signed by release",
    "2026.11.2",
    "#!ipxe",
    "This machine was installed from a signed bundle.",
)

#: A shell a page, and in it its blocks one after the other; what it started ends with it.
SESSION = """
set -euo pipefail
for page in "$@"; do
    (
        trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
        for block in "$page"/*; do
            echo "--- ${page##*/} ${block##*/}"
            . "$block"
        done
    )
done
"""


@pytest.mark.parametrize("page", sorted(NOT_RUN))
def test_all_but_a_known_few_are_run(page: str) -> None:
    blocks = shell_blocks(page)
    assert len(blocks) > 3
    left_out = {block.why: block.text.splitlines()[0] for block in blocks if block.why}
    assert left_out == NOT_RUN[page]
    for block in blocks:
        subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)


def test_the_blocks_do_what_the_pages_say_where_no_network_is(tmp_path: Path) -> None:
    for name in PARTS:
        part(name)
    clone = tmp_path / "goose"
    cloned(clone)
    run: list[str] = []  # a block that is in both pages once
    for page in NOT_RUN:
        folder = tmp_path / page.replace("/", "-")
        folder.mkdir()
        for number, block in enumerate(shell_blocks(page), 1):
            if not block.why and block.text not in run:
                run.append(block.text)
                (folder / f"{number:02}").write_text(block.text)
    home = tmp_path / "home"
    home.mkdir()
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(clone)}
    pages = [tmp_path / page.replace("/", "-") for page in NOT_RUN]
    done = subprocess.run(
        [ROOT / "scripts/sealed.sh", "bash", "-c", SESSION, "bash", *pages],
        cwd=clone, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    in_order(done.stdout, *SEEN)


def cloned(folder: Path) -> None:
    """What is here, as a clone with its virtual environment made: this one's."""
    venv = copied(folder) / ".venv"
    venv.mkdir()
    for path in Path(sys.prefix).iterdir():
        if not path.name.startswith("."):
            (venv / path.name).symlink_to(path)
    (venv / ".ready").touch()
