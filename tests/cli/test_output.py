"""What goes to stdout and stderr, for people and for scripts."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from bundles.errors import GooseError, UsageError
from goosectl.output import Output, printable


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds, as a test sets them."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make(**options: Any) -> tuple[Output, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Output(stdout=out, stderr=err, **options), out, err


@pytest.mark.parametrize(
    ("options", "out", "err"),
    [
        ({}, "found 2\n", "careful\n"),
        ({"quiet": True}, "", ""),
        ({"as_json": True}, '{"count": 2}\n', ""),
        ({"as_json": True, "quiet": True}, '{"count": 2}\n', ""),
    ],
)
def test_results_and_notes(options: dict[str, Any], out: str, err: str) -> None:
    output, stdout, stderr = make(**options)
    output.note("careful")
    output.result({"count": 2}, text="found 2")
    assert (stdout.getvalue(), stderr.getvalue()) == (out, err)


def test_tables_align_and_hold_their_cells_on_one_line() -> None:
    rows = [
        {"name": "a\nb", "size": 5, "ok": True, "of": ["x", "y"]},
        {"name": "c", "size": 1000, "ok": False, "of": None},
    ]
    columns = [("name", "Name"), ("size", "Size"), ("ok", "OK"), ("of", "Of")]
    output, stdout, _ = make()
    output.table(rows, columns)
    assert stdout.getvalue() == (
        "Name  Size  OK   Of\n"
        "a\\nb     5  yes  x, y\n"
        "c     1000  no   -\n"
    )  # fmt: skip
    output, stdout, _ = make(as_json=True)
    output.table(rows, columns)
    assert json.loads(stdout.getvalue()) == {"items": rows}


def test_an_empty_table_is_a_note_and_no_line_of_output() -> None:
    output, stdout, stderr = make()
    output.table([], [("name", "Name")])
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "nothing to list\n")
    output, stdout, _ = make(as_json=True)
    output.table([], [("name", "Name")])
    assert stdout.getvalue() == '{"items": []}\n'


def test_names_from_outside_cannot_command_the_terminal() -> None:
    hostile = "a\x1b]0;owned\x07\u202egpj.exe\x9b31m\udc80"
    shown = r"a\x1b]0;owned\x07\u202egpj.exe\x9b31m\udc80"
    assert printable(hostile) == shown
    output, stdout, stderr = make()
    output.say(hostile)
    output.note(hostile)
    output.error(GooseError(hostile, hint=hostile))
    output.table([{"name": hostile}], [("name", "Name")])
    assert stdout.getvalue() == f"{shown}\nName\n{shown}\n"
    assert stderr.getvalue() == f"{shown}\nerror: {shown}\nhint: {shown}\n"
    assert printable("Zürich\t日本\n") == "Zürich\t日本\n"


def test_json_is_plain_ascii_on_one_line() -> None:
    output, stdout, _ = make(as_json=True)
    output.result({"name": "Zürich\n\udc80"})
    assert stdout.getvalue() == '{"name": "Z\\u00fcrich\\n\\udc80"}\n'


def test_progress_in_a_pipe_is_a_line_now_and_then() -> None:
    clock = Clock()
    output, stdout, stderr = make(clock=clock)
    progress = output.progress()
    progress.start("importing", 100_000_000)
    for _ in range(80):  # eighty reports in ten seconds
        clock.now += 0.125
        progress.advance(1_250_000, "a/b")
    progress.finish()
    assert stdout.getvalue() == ""
    assert stderr.getvalue().splitlines() == [
        "importing: 100.0 MB",
        "importing: 50.0 MB of 100.0 MB, 50 %, 10.0 MB/s, 5 s left, a/b",
        "importing: 100.0 MB of 100.0 MB, 100 %, 10.0 MB/s, 0 s left, a/b",
        "importing: 100.0 MB in 10.0 s, 10.0 MB/s",
    ]


def test_progress_of_unknown_length_promises_nothing() -> None:
    clock = Clock()
    output, _, stderr = make(clock=clock)
    progress = output.progress()
    progress.start("fetching", None)
    clock.now += 6
    progress.advance(12_000_000)
    progress.finish()
    assert stderr.getvalue().splitlines() == [
        "fetching",
        "fetching: 12.0 MB, 2.0 MB/s",
        "fetching: 12.0 MB in 6.0 s, 2.0 MB/s",
    ]


@pytest.mark.parametrize("as_json", [False, True])
def test_progress_is_silent_when_quiet(as_json: bool) -> None:
    clock = Clock()
    output, stdout, stderr = make(clock=clock, quiet=True, as_json=as_json)
    progress = output.progress()
    progress.start("importing", 10)
    clock.now += 60
    progress.advance(10)
    progress.finish()
    assert stdout.getvalue() + stderr.getvalue() == ""


def test_an_error_ends_the_progress_without_saying_that_it_is_done() -> None:
    output, _, stderr = make()
    output.progress().start("importing", 10)
    output.error(GooseError("the volume is damaged"))
    assert stderr.getvalue() == "importing: 10 B\nerror: the volume is damaged\n"


def test_confirming_needs_somebody_to_ask() -> None:
    output, _, stderr = make(stdin=io.StringIO("y\n"))
    with pytest.raises(UsageError) as refused:
        output.confirm("Erase it?")
    assert "--yes" in refused.value.hint
    assert output.confirm("Erase it?", yes=True)
    assert stderr.getvalue() == ""


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [("y\n", True), ("Yes\n", True), ("n\n", False), ("\n", False), ("", False)],
)
def test_confirming_takes_yes_for_yes_and_all_else_for_no(answer: str, agreed: bool) -> None:
    stderr = Terminal()
    output = Output(stdin=Terminal(answer), stdout=io.StringIO(), stderr=stderr)
    assert output.confirm("Erase it?") is agreed
    assert stderr.getvalue() == "Erase it? [y/N] "
