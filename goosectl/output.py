"""What a command tells people and scripts, and where it goes.

Results go to stdout, everything else to stderr, so that a pipe gets results and nothing else:

|             | human                       | `--json`                                       |
|-------------|-----------------------------|------------------------------------------------|
| result      | stdout, text                | stdout, one object                             |
| note        | stderr                      | dropped: the last line of stderr is for errors |
| progress    | stderr, a bar or plain lines | stderr, an object with `event` now and then   |
| error       | stderr, `error:`, `hint:`   | stderr, one object with `code`                 |

`--quiet` drops notes, progress and all text results; it leaves errors and `--json` results.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

from bundles.errors import GooseError, UsageError
from bundles.progress import SILENT, Progress

if TYPE_CHECKING:
    from goosectl.progress import Stage


class Output:
    """Where one run of the command line writes."""

    def __init__(
        self,
        *,
        as_json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose
        self._stdin = sys.stdin if stdin is None else stdin
        self._stdout = sys.stdout if stdout is None else stdout
        self._stderr = sys.stderr if stderr is None else stderr
        self._clock = clock
        self._progress: Stage | None = None

    def say(self, text: str) -> None:
        """A line of the result for people; nothing with --json or --quiet."""
        if not (self.as_json or self.quiet):
            self._write(self._stdout, printable(text))

    def result(self, value: Mapping[str, object], text: str | None = None) -> None:
        """The result: `value` as one object with --json, else `text`."""
        if self.as_json:
            self._write(self._stdout, _json(value))
        elif text is not None:
            self.say(text)

    def table(
        self,
        rows: Sequence[Mapping[str, object]],
        columns: Sequence[tuple[str, str]],
        words: Mapping[str, Callable[[Any], str]] = MappingProxyType({}),
    ) -> None:
        """A list of things: {"items": rows} with --json, else the columns (key, title); `words`
        says by key how people read a value."""
        if self.as_json:
            self._write(self._stdout, _json({"items": list(rows)}))
        elif rows and not self.quiet:
            for line in _aligned(rows, columns, words):
                self._write(self._stdout, line)
        elif not rows:
            self.note("nothing to list")

    def note(self, text: str) -> None:
        """A remark for people, on stderr; nothing with --json or --quiet."""
        if not (self.as_json or self.quiet):
            self._write(self._stderr, printable(text))

    def progress(self, unit: str = "") -> Progress:
        """Where a long operation tells how far it is; any number of stages, one after another.
        `unit` is what it counts, in the plural, where that is not bytes."""
        if self.quiet:
            return SILENT
        from goosectl.progress import Events, Lines

        self.close()
        if self.as_json:
            self._progress = Events(self._stderr, self._clock, unit)
        elif self._stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            from goosectl.bar import Bar

            self._progress = Bar(self._stderr, self._clock, unit)
        else:
            self._progress = Lines(self._stderr, self._clock, unit)
        return self._progress

    def confirm(self, question: str, *, yes: bool = False) -> bool:
        """Whether the operator agrees: because of --yes (`yes`), or by answering now.

        Raises UsageError where nobody can be asked.
        """
        if yes:
            return True
        if self.as_json or not (self._stdin.isatty() and self._stderr.isatty()):
            raise UsageError(
                f"nobody is there to be asked: {question}",
                hint="run it on a terminal, or give --yes if the answer is yes",
            )
        self._stderr.write(f"{printable(question)} [y/N] ")
        self._stderr.flush()
        return self._stdin.readline().strip().lower() in ("y", "yes")

    def error(self, error: GooseError) -> None:
        """Why the command ends without its result; the traceback too with -v."""
        self.close()
        if self.verbose:
            self._write(self._stderr, printable("".join(traceback.format_exception(error))))
        if self.as_json:
            self._write(self._stderr, _json(as_object(error)))
        else:
            self._write(self._stderr, printable(f"error: {error.message}"))
            if error.hint:
                self._write(self._stderr, printable(f"hint: {error.hint}"))

    def close(self) -> None:
        """Ends what is shown of an operation that did not come to its end."""
        if self._progress is not None:
            self._progress.abandon()
            self._progress = None

    def _write(self, stream: TextIO, text: str) -> None:
        stream.write(text + "\n")
        stream.flush()


def as_object(error: GooseError) -> dict[str, object]:
    """An error as --json shows it: the words of the text form, its stable code, its details."""
    found: dict[str, object] = {"code": error.code, "error": error.message}
    if error.hint:
        found["hint"] = error.hint
    if error.details:
        found["details"] = error.details
    return found


def printable(text: str) -> str:
    """`text` with what could command a terminal made visible.

    A file name in a hostile bundle may hold escape sequences or override the writing direction;
    whoever inspects it should see that, and nothing should act on it.
    """
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


def one_line(text: str) -> str:
    """`text` as `printable` has it, on one line."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def pairs(value: Mapping[str, object]) -> str:
    """What belongs to an event, on one line: `key=value`, and what is within in brackets."""
    return ", ".join(
        f"{one_line(key)}=({pairs(part)})"
        if isinstance(part, Mapping)
        else f"{one_line(key)}={_cell(part)}"
        for key, part in value.items()
    )


def get() -> Output:
    """The output of the running command."""
    return _active[-1] if _active else Output()


@contextmanager
def use(output: Output) -> Iterator[Output]:
    """Makes `output` the running command's, until the block ends."""
    _active.append(output)
    try:
        yield output
    finally:
        _active.remove(output)
        output.close()


_active: list[Output] = []


def _json(value: Mapping[str, object]) -> str:
    """One line. ASCII, so that no locale and no lone surrogate of a file name can spoil it."""
    return json.dumps(value, default=str)


def _aligned(
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[tuple[str, str]],
    words: Mapping[str, Callable[[Any], str]],
) -> Iterator[str]:
    """The rows below their titles; numbers to the right, as they compare best."""
    cells = [[title for _, title in columns]]
    cells += [[words.get(key, _cell)(row.get(key)) for key, _ in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [all(type(row.get(key)) is int for row in rows) for key, _ in columns]
    for line in cells:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        )
        yield "  ".join(padded).rstrip()


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return pairs(value) or "-"
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    return one_line(str(value))
