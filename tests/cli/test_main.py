"""Exit codes, flags and words of the frame that all verbs run in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import typer

from bundles.errors import GooseError, UsageError
from goosectl import main as entry
from goosectl import output
from goosectl.main import main, take_flags


class Spilled(GooseError):
    """A refusal for these tests."""

    code = "spilled"
    default_hint = "fetch a cloth"


Verb = Callable[[], object]
Run = Callable[..., int]


@pytest.fixture
def run_verb(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a function as the verb `goosectl scratch do` the way the command line runs verbs."""

    def run(verb: Verb, *flags: str) -> int:
        module = ModuleType("scratch_noun")
        app = typer.Typer()
        app.command("do")(verb)
        module.app = app  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "scratch_noun", module)
        monkeypatch.setitem(entry.NOUNS, "scratch", ("scratch_noun", "For tests."))
        return main(["scratch", "do", *flags])

    return run


def goosectl(*args: str, **options: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "goosectl", *args], capture_output=True, text=True, **options
    )


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["--help", "--json"]])
def test_help_names_every_noun(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 0
    captured = capsys.readouterr()
    for noun in entry.NOUNS:
        assert f"\n  {noun} " in captured.out
    assert captured.err == ""


@pytest.mark.parametrize("args", [["--help"], ["--version"]])
def test_help_and_version_load_no_library(args: list[str]) -> None:
    probe = (
        "import sys; before = set(sys.modules); from goosectl.main import main;"
        f"main({args}); print(*set(sys.modules) - before, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert set(done.stderr.split()) - {"__future__"} == {"bundles", "goosectl", "goosectl.main"}


def test_version_is_the_one_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"goosectl {version('goose-provisioning')}\n"


@pytest.mark.parametrize("noun", sorted(entry.NOUNS))
def test_every_noun_loads_and_explains_itself(
    noun: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([noun, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: goosectl {noun} ")


@pytest.mark.parametrize(
    ("args", "error", "hint"),
    [
        ([], "a noun and a verb are needed", "goosectl --help"),
        (["bundel"], "there is no noun 'bundel'", "did you mean `goosectl bundle`?"),
        (["xyzzy"], "there is no noun 'xyzzy'", "goosectl --help lists the nouns"),
        (["bundle"], "a verb is needed", "goosectl bundle --help"),
        (["bundle", "biuld"], "no such command 'biuld'", "goosectl bundle --help"),
        (["bundle", "build"], "missing argument 'RECIPE'", "goosectl bundle build --help"),
        (["bundle", "list", "--x"], "no such option: --x", "goosectl bundle list --help"),
        (["token", "issue", "--mac"], "'--mac' requires an argument", "goosectl token issue"),
    ],
)
def test_wrong_use_is_exit_code_2_with_a_next_step(
    args: list[str], error: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert first.startswith("error: ")
    assert error in first
    assert second.startswith("hint: ")
    assert hint in second

    assert main([*args, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["code"] == "usage"


def test_a_refusal_says_what_and_what_next(
    run_verb: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    def verb() -> None:
        raise Spilled("the milk of cow 7 is spilled", cow=7)

    assert run_verb(verb) == 1
    captured = capsys.readouterr()
    assert captured.err == "error: the milk of cow 7 is spilled\nhint: fetch a cloth\n"
    assert captured.out == ""

    assert run_verb(verb, "--json") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err) == {
        "code": "spilled",
        "error": "the milk of cow 7 is spilled",
        "hint": "fetch a cloth",
        "details": {"cow": 7},
    }


def test_quiet_leaves_the_error(run_verb: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def verb() -> None:
        output.get().note("looking")
        output.get().say("found")
        raise Spilled("it is spilled", hint="")

    assert run_verb(verb, "--quiet") == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "error: it is spilled\n")


def test_a_defect_shows_no_traceback_unless_asked_for(
    run_verb: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    def verb() -> None:
        raise KeyError("cow")

    assert run_verb(verb) == 1
    error, hint = capsys.readouterr().err.splitlines()
    assert error == "error: KeyError: 'cow'"
    assert "-v" in hint

    assert run_verb(verb, "--json") == 1
    assert json.loads(capsys.readouterr().err)["code"] == "internal-error"

    assert run_verb(verb, "-v") == 1
    shown = capsys.readouterr().err
    assert "Traceback (most recent call last)" in shown
    assert 'raise KeyError("cow")' in shown


def test_what_the_system_refuses_names_the_file(
    run_verb: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def verb() -> None:
        (tmp_path / "none").read_bytes()

    assert run_verb(verb, "--json") == 1
    error = json.loads(capsys.readouterr().err)
    assert error["code"] == "system-failure"
    assert error["error"] == f"{tmp_path}/none: No such file or directory"


def test_an_interrupt_is_130(run_verb: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def verb() -> None:
        raise KeyboardInterrupt

    assert run_verb(verb) == 130
    assert capsys.readouterr().err == "error: interrupted\n"
    assert run_verb(verb, "--json") == 130
    assert json.loads(capsys.readouterr().err)["code"] == "interrupted"


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (3, 3), (True, 0), ("x", 0)])
def test_a_verb_may_choose_its_exit_code(run_verb: Run, result: object, code: int) -> None:
    assert run_verb(lambda: result) == code


@pytest.mark.parametrize(("raised", "code"), [(typer.Exit(4), 4), (SystemExit(5), 5)])
def test_leaving_early_keeps_the_exit_code(run_verb: Run, raised: BaseException, code: int) -> None:
    def verb() -> None:
        raise raised

    assert run_verb(verb) == code


def test_a_verb_that_raises_usage_error_is_exit_code_2(run_verb: Run) -> None:
    def verb() -> None:
        raise UsageError("not like this")

    assert run_verb(verb) == 2


def test_a_noun_that_cannot_be_loaded_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(entry.NOUNS, "scratch", ("goosectl.not_there", "For tests."))
    assert main(["scratch", "--json"]) == 1
    error = json.loads(capsys.readouterr().err)
    assert error["code"] == "module-unusable"
    assert "goosectl.not_there" in error["error"]


def test_flags_stand_anywhere_up_to_a_double_hyphen() -> None:
    assert take_flags(["--json", "key", "-v", "show", "-q", "f"]) == (
        ["key", "show", "f"],
        {"json", "verbose", "quiet"},
    )
    assert take_flags(["key", "show", "--", "--json", "-v"]) == (
        ["key", "show", "--", "--json", "-v"],
        set(),
    )


def test_the_output_of_one_command_does_not_outlive_it(
    run_verb: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_verb(lambda: output.get().result({"a": 1}), "--json") == 0
    assert capsys.readouterr().out == '{"a": 1}\n'
    assert not output.get().as_json


def test_a_reader_that_goes_away_ends_the_command_without_a_word() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        for args in (["--help"], ["--version"], ["bundle", "--help"]):
            done = subprocess.run(
                [sys.executable, "-m", "goosectl", *args], stdout=writing, stderr=subprocess.PIPE
            )
            assert (args, done.returncode, done.stderr) == (args, 141, b"")
    finally:
        os.close(writing)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", ["store ls", "bundle --help", "--version", "nonsense"])
def test_closed_streams_change_no_exit_code(words: str, closed: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m goosectl {words} {closed}', sys.executable],
        env={**os.environ, "GOOSE_HOME": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == (2 if words == "nonsense" else 0)
    assert "Traceback" not in done.stderr


def test_what_was_closed_is_never_a_file_of_ours(tmp_path: Path) -> None:
    """The next file opened would get the number 1, and with it what is printed."""
    probe = (
        "import os; from goosectl.main import main; main(['--version']);"
        f"file = open({str(tmp_path / 'file')!r}, 'w'); os.write(2, b'%d' % file.fileno())"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" <&- >&-', sys.executable, probe], capture_output=True
    )
    assert int(done.stderr) > 2


def test_a_full_disk_under_stdout_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "goosectl", "bundle", "--help"],
            stdout=full,
            stderr=-1,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: No space left on device\n")


def test_the_shell_completes_nouns_and_verbs() -> None:
    def complete(words: str, position: int) -> list[str]:
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(position)}
        env = os.environ | asked | {"_GOOSECTL_COMPLETE": "complete_bash"}
        return goosectl(env=env).stdout.split()

    assert complete("goosectl b", 1) == ["bundle"]
    assert complete("goosectl bundle ver", 2) == ["verify"]
