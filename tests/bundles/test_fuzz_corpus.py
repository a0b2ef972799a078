"""What fuzzing has found worth keeping is judged again by every run of the tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import __main__ as fuzz
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, judge


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_of_the_corpus_breaks_its_parser(target: str) -> None:
    inputs = sorted((fuzz.CORPUS / target).iterdir())
    taken = [judge(target, path.read_bytes()) for path in inputs]
    assert any(taken), "no input comes through, so what lies behind the parser is never reached"


@pytest.mark.parametrize("target", TARGETS)
def test_a_corpus_holds_what_is_taken_and_what_is_refused(target: str) -> None:
    """A fuzzer that begins with one document rarely finds the way to another."""
    inputs = sorted((fuzz.CORPUS / target).iterdir())
    taken = [judge(target, path.read_bytes()) for path in inputs]
    assert len(inputs) > 5 and len(set(taken)) == 2


def test_the_words_of_a_corpus_are_a_dictionary() -> None:
    said = fuzz.dictionary([b'{"format":1,"name":"base"}', b'{"format":2}'])
    first, *others = said.splitlines()
    assert bytes.fromhex(first.strip('"').replace("\\x", "")) == b'"format":'
    assert all(re.fullmatch(r'"(\\x[0-9a-f]{2})+"', line) for line in (first, *others))


def test_every_seed_is_taken() -> None:
    for target, data in seeds():
        assert judge(target, data), (target, data[:200])


PLANTED = """
import sys
from tests.fuzz import __main__ as fuzz, targets

def fall(data):
    if data.startswith(b"go"):
        raise KeyError(data)

targets.TARGETS["lock"] = fall
fuzz._fuzz("lock", sys.argv[1:])
"""


def test_the_fuzzer_finds_a_planted_fault(tmp_path: Path) -> None:
    """It ends with an error, and keeps the input."""
    pytest.importorskip("atheris", reason="atheris has no wheel for this platform")
    (corpus := tmp_path / "corpus").mkdir()
    (corpus / "seed").write_bytes(b"gone")
    (found := tmp_path / "found").mkdir()
    options = ["-runs=200000", f"-artifact_prefix={found}/", str(corpus)]
    done = subprocess.run(
        [sys.executable, "-c", PLANTED, *options],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode != 0, done.stderr
    assert "KeyError" in done.stdout + done.stderr
    [finding] = found.iterdir()
    assert finding.read_bytes().startswith(b"go")
