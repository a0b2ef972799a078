"""A missing part is never passed over unseen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts import PARTS, STACK, TOOLS

ROOT = Path(__file__).resolve().parents[1]

_SKIPPING = {
    "a part": "from tests.parts import part\ndef test_boot(): part('gone')",
    "a call": "import pytest\ndef test_boot(): pytest.skip('gone is missing')",
    "a mark": "import pytest\n@pytest.mark.skip(reason='gone is missing')\ndef test_boot(): pass",
    "a module": "import pytest\npytest.importorskip('gone', reason='gone is missing')",
}


def _run(folder: Path, source: str, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "lacking.py").write_text(
        "from pathlib import Path\nfrom tests import parts\n"
        "parts.PARTS['gone'] = parts.Part('goose-down', lambda: None)\n" + source
    )
    plugins = ["-p", "tests.no_skips", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-c", os.devnull, *plugins, "lacking.py"],
        cwd=folder,
        env=os.environ | {"CI": ci, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("way", sorted(_SKIPPING))
def test_in_ci_a_skip_fails_the_run(way: str, tmp_path: Path) -> None:
    done = _run(tmp_path, _SKIPPING[way], "true")
    assert done.returncode != 0, done.stdout
    assert "gone" in done.stdout


@pytest.mark.parametrize("way", sorted(_SKIPPING))
def test_elsewhere_it_skips(way: str, tmp_path: Path) -> None:
    done = _run(tmp_path, _SKIPPING[way], "")
    assert "1 skipped" in done.stdout, done.stdout
    assert "failed" not in done.stdout


def test_elsewhere_a_missing_part_names_the_command_that_installs_it(tmp_path: Path) -> None:
    done = _run(tmp_path, _SKIPPING["a part"], "")
    assert "gone is missing (from goose-down): sudo make parts installs it" in done.stdout


def test_every_part_comes_from_something_that_make_parts_installs() -> None:
    lines = (TOOLS / "packages.txt").read_text().splitlines()
    modules = [*TOOLS.glob("*/go.mod"), *STACK.glob("*/go.mod")]
    tools = [str(module.parent.relative_to(ROOT)) for module in modules]
    known = {line for line in lines if not line.startswith("#")} | set(tools)
    assert {part.source for part in PARTS.values()} - known == set()


@pytest.mark.parametrize(
    "tool",
    sorted(str(m.parent.relative_to(ROOT)) for at in (TOOLS, STACK) for m in at.glob("*/go.mod")),
)
def test_every_tool_is_a_part(tool: str) -> None:
    assert PARTS[Path(tool).name].source == tool
