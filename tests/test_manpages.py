"""The man pages: man and groff find nothing wrong with them, and no verb or option is left out."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from scripts import gendocs, manpages
from tests.parts import part

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(manpages.pages())


def shown(page: Path) -> str:
    """As somebody sees it on a terminal that is wide; whatever man complains of fails."""
    environ = os.environ | {"LC_ALL": "C.UTF-8", "MANWIDTH": "200"}
    done = subprocess.run(
        [part("man"), "--warnings", "--encoding=UTF-8", "--local-file", page],
        env=environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_shown_without_a_warning(name: str) -> None:
    text = shown(ROOT / "man" / name)
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "ENVIRONMENT", "SEE ALSO"):
        assert f"\n{section}\n" in f"\n{text}", section
    command = [part("groff"), "-man", "-ww", "-b", "-z", "-Tutf8", ROOT / "man" / name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_every_verb_and_option_is_in_the_page_of_its_noun() -> None:
    pages = {name: shown(ROOT / "man" / name) for name in PAGES}
    sections = re.findall(
        r"^### goosectl (\S+) ?(\S*)\n(.*?)(?=^##|\Z)", gendocs.cli(), re.MULTILINE | re.DOTALL
    )
    assert len(sections) > 60
    for noun, verb, help_ in sections:
        text = pages[f"goosectl-{noun}.1"]
        if verb:
            text = text.split(f"\n   goosectl {noun} {verb}\n", 1)[1].split("\n   goosectl ", 1)[0]
        options = set(re.findall(r"^  (--[\w-]+)", help_, re.MULTILINE)) - {"--help"}
        assert [option for option in sorted(options) if option not in text] == [], (noun, verb)


def test_no_page_is_left_of_a_noun_that_is_gone() -> None:
    assert sorted(path.name for path in (ROOT / "man").iterdir()) == PAGES
