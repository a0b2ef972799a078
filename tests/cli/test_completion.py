"""Completion in a real bash, from its installation to what TAB is offered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent

# What bash does at TAB (bash(1), "Programmable Completion"): the function that was registered is
# called with the words typed so far, and leaves its offers in COMPREPLY.
TAB = r"""
. ~/.bashrc
set -- $LINE
[ "${LINE% }" = "$LINE" ] || set -- "$@" ""
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE=$LINE COMP_POINT=${#LINE}
[[ $(complete -p goosectl) =~ -F\ ([^ ]+) ]]
"${BASH_REMATCH[1]}" goosectl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's, who has run `goosectl --install-completion` in bash."""
    folder = tmp_path_factory.mktemp("home")
    assert "completion installed" in bash(folder, "goosectl --install-completion; true")
    return folder


def bash(home: Path, script: str, **environ: str) -> str:
    known = {"HOME": str(home), "PATH": f"{BIN}:/usr/bin:/bin", **environ}
    done = subprocess.run(["bash", "-c", script], env=known, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("goosectl bun", {"bundle"}),
        ("goosectl bundle im", {"import"}),
        ("goosectl bundle build --vol", {"--volume-size"}),
        ("goosectl key ", {"new", "new-recipient", "show"}),
        ("goosectl nothing", set()),
    ],
)
def test_tab_is_offered_what_there_is(home: Path, line: str, offers: set[str]) -> None:
    assert set(bash(home, TAB, LINE=line).split()) == offers
