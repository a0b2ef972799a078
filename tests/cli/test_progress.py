"""Progress as people see it on a terminal and in a log, and as scripts read it."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import termios
from collections.abc import Callable
from fcntl import ioctl
from typing import Any

import pytest

from bundles.progress import Preflight, Progress
from goosectl import sizes
from goosectl.output import Output
from tests.cli.test_output import Clock, make

HOSTILE = "a\x1b]0;owned\x07\r\n\u202egpj.exe"
VOLUME = ("base-1.0.0.2of3.goose.tar", 2, 3)


def work(progress: Progress, clock: Clock, item: str = "os/motd") -> None:
    """Ten seconds at 10 MB/s, in eighty reports."""
    progress.start("importing", 100_000_000)
    progress.volume(*VOLUME)
    for _ in range(80):
        clock.now += 0.125
        progress.advance(1_250_000, item)
    progress.finish()


def test_lines_name_the_volume_in_hand() -> None:
    clock = Clock()
    output, stdout, stderr = make(clock=clock)
    work(output.progress(), clock)
    assert stdout.getvalue() == ""
    assert stderr.getvalue().splitlines()[1] == (
        "importing: 50.0 MB of 100.0 MB, 50 %, 10.0 MB/s, 5 s left,"
        " base-1.0.0.2of3.goose.tar (2 of 3), os/motd"
    )


def test_events_are_one_object_a_line_and_the_end_is_one() -> None:
    clock = Clock()
    output, stdout, stderr = make(clock=clock, as_json=True)
    work(output.progress(), clock)
    events = [json.loads(line) for line in stderr.getvalue().splitlines()]
    assert stdout.getvalue() == ""
    assert len(events) == 11
    assert events[4] == {
        "event": "progress",
        "stage": "importing",
        "bytes": 50_000_000,
        "total": 100_000_000,
        "rate": 10_000_000,
        "eta": 5,
        "volume": {"file": VOLUME[0], "number": 2, "of": 3},
        "item": "os/motd",
    }
    assert events[-1] == {
        "event": "finished",
        "stage": "importing",
        "bytes": 100_000_000,
        "seconds": 10.0,
        "rate": 10_000_000,
    }


def test_a_stage_that_is_over_at_once_is_no_event() -> None:
    output, _, stderr = make(clock=Clock(), as_json=True)
    progress = output.progress()
    progress.start("importing", 10)
    progress.advance(10, "a")
    progress.finish()
    assert stderr.getvalue() == ""


def test_preflight_says_what_is_needed_and_what_is_free() -> None:
    needs = Preflight(volumes=3, bytes=12_000_000_000, needed=7_000_000_000, free=9_500_000_000)
    output, _, stderr = make()
    output.progress().preflight(needs)
    assert stderr.getvalue() == "3 volumes of 12.0 GB; 7.0 GB to write, 9.5 GB free\n"
    output, _, stderr = make(as_json=True)
    output.progress().preflight(needs)
    assert json.loads(stderr.getvalue()) == {
        "event": "preflight",
        "volumes": 3,
        "bytes": 12_000_000_000,
        "needed": 7_000_000_000,
        "free": 9_500_000_000,
    }


def test_volumes_whose_content_is_here_are_told_in_words() -> None:
    output, _, stderr = make()
    output.progress().preflight(Preflight(volumes=0, bytes=0, needed=0, free=None))
    assert stderr.getvalue() == "nothing to import: what these volumes hold is here already\n"


def test_a_stage_without_bytes_has_no_rate() -> None:
    """As the sync at the end of an import, which cannot tell how far it is."""
    clock = Clock()
    output, _, stderr = make(clock=clock)
    progress = output.progress()
    progress.start("making durable", None)
    clock.now += 3
    progress.finish()
    assert stderr.getvalue().splitlines()[-1] == "making durable: done in 3.0 s"


def test_the_rate_forgets_what_was_passed_over() -> None:
    clock = Clock()
    output, _, stderr = make(clock=clock)
    progress = output.progress()
    progress.start("importing", 11_000_000_000)
    progress.advance(10_000_000_000)  # there already: no time at all
    for _ in range(12):
        clock.now += 5
        progress.advance(50_000_000)
    assert stderr.getvalue().splitlines()[-1] == (
        "importing: 10.6 GB of 11.0 GB, 96 %, 10.0 MB/s, 40 s left"
    )


@pytest.mark.parametrize("as_json", [False, True])
def test_names_from_outside_stay_on_their_line(as_json: bool) -> None:
    clock = Clock()
    output, _, stderr = make(clock=clock, as_json=as_json)
    work(output.progress(), clock, HOSTILE)
    said = stderr.getvalue()
    assert re.search(r"[^\x20-\x7e\n]", said) is None
    assert len(said.splitlines()) == (11 if as_json else 4)


class Screen:
    """A terminal of a size, and all that was written to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
        self._primary, secondary = os.openpty()
        ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(columns))
        self.stream = os.fdopen(secondary, "w")

    def shown(self) -> str:
        """What was seen, once nobody writes any more."""
        self.stream.close()
        pieces = []
        try:
            while piece := os.read(self._primary, 65536):
                pieces.append(piece)
        except OSError:  # EIO: closed at the other end
            os.close(self._primary)
        return b"".join(pieces).decode(errors="replace")


def lines_of(shown: str) -> list[str]:
    """What was drawn, line by line, without the commands to the terminal."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r", "\n").split("\n")


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Screen]:
    return lambda columns: Screen(monkeypatch, columns)


@pytest.mark.parametrize("columns", [200, 80, 60, 40, 20])
def test_a_bar_keeps_to_its_two_lines_however_narrow(
    screen: Callable[[int], Screen], columns: int
) -> None:
    clock, terminal = Clock(), screen(columns)
    output = Output(stdout=io.StringIO(), stderr=terminal.stream, clock=clock)
    progress: Any = output.progress()
    progress.start("importing [bold]", 2_000_000_000)
    progress.volume(*VOLUME)
    clock.now += 10
    progress.advance(1_000_000_000, HOSTILE)
    progress._live.refresh()
    progress.finish()
    *lines, summary = filter(None, lines_of(terminal.shown()))
    assert max(map(len, lines)) <= columns
    drawn = next(line for line in lines if "0:10" in line or "…" in line)
    assert drawn.startswith("importing [bold]")
    assert ("━" in drawn) == (columns > 60)
    assert ("100.0 MB/s" in drawn) == (columns >= 60)
    if columns == 200:
        assert any("base-1.0.0.2of3.goose.tar (2 of 3): a\\x1b]0;owned" in line for line in lines)
    assert summary == "importing [bold]: 1.0 GB in 10.0 s, 100.0 MB/s"


def test_a_bar_without_bytes_only_moves(screen: Callable[[int], Screen]) -> None:
    clock, terminal = Clock(), screen(80)
    output = Output(stdout=io.StringIO(), stderr=terminal.stream, clock=clock)
    progress: Any = output.progress()
    progress.start("making durable", None)
    progress._live.refresh()
    progress.finish()
    drawn = next(line for line in lines_of(terminal.shown()) if line.startswith("making durable"))
    assert "━" in drawn
    assert "0 B" not in drawn


def test_a_bar_that_failed_leaves_the_screen_and_gives_back_the_cursor(
    screen: Callable[[int], Screen],
) -> None:
    from bundles.errors import GooseError

    terminal = screen(80)
    output = Output(stdout=io.StringIO(), stderr=terminal.stream, clock=Clock())
    output.progress().start("importing", 10)
    output.error(GooseError("the volume is damaged"))
    shown = terminal.shown()
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert lines_of(shown)[-3:] == ["error: the volume is damaged", "", ""]


def test_a_dumb_terminal_gets_plain_lines(
    screen: Callable[[int], Screen], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, terminal = Clock(), screen(80)
    monkeypatch.setenv("TERM", "dumb")
    output = Output(stdout=io.StringIO(), stderr=terminal.stream, clock=clock)
    work(output.progress(), clock)
    shown = terminal.shown()
    assert "\x1b" not in shown
    assert "10.0 MB/s, 5 s left" in shown


@pytest.mark.parametrize(
    ("seconds", "words", "clock"),
    [
        (0.4, "0 s", "0:00"),
        (59.6, "1 min 0 s", "1:00"),
        (200, "3 min 20 s", "3:20"),
        (7505, "2 h 5 min", "2:05:05"),
    ],
)
def test_durations(seconds: float, words: str, clock: str) -> None:
    assert (sizes.duration(seconds), sizes.clock(seconds)) == (words, clock)
