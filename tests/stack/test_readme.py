"""The commands of README.md that want Docker Desktop are ones that helm and kubectl know."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.observability import ROOT
from tests.parts import part
from tests.shell_blocks import shell_blocks


def commands(program: str) -> list[list[str]]:
    blocks = [block for block in shell_blocks("README.md") if block.why]
    return [words for block in blocks for words in block.commands() if words[0] == program]


def known(help_: str, words: list[str]) -> None:
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    for option in options:
        assert re.search(rf"^ *(?:-\w, )?{option}[ ,=]", help_, re.MULTILINE), option


@pytest.mark.parametrize("words", commands("helm"), ids=" ".join)
def test_helm_knows_the_command(words: list[str]) -> None:
    verb = words[1]
    done = subprocess.run([part("helm"), verb, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and f"helm {verb} " in done.stdout
    known(done.stdout, words[2:])
    for word in words:
        assert not word.startswith("charts/") or (ROOT / word).exists(), word


@pytest.mark.parametrize("words", commands("kubectl"), ids=" ".join)
def test_kubectl_knows_the_command(words: list[str], tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.symlink_to(part("kubernetes"))
    plain = [word for word in words[1:3] if not word.startswith("-")]
    done = subprocess.run([kubectl, *plain, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and f"kubectl {' '.join(plain)}" in done.stdout
    everywhere = subprocess.run([kubectl, "options"], capture_output=True, text=True, check=True)
    known(done.stdout + everywhere.stdout, words[1:])


def test_there_are_some() -> None:
    assert commands("helm") and commands("kubectl")
    assert commands("docker") == [["docker", "load", "-i", "goosed.tar"]]
