"""YAML documents whose every problem has a file, a line, a column and a field.

The language is a subset of YAML: mappings with distinct text keys, sequences, and scalars. Scalars
stay text and a schema types them, because YAML 1.1 makes the number 41135085296 of the MAC
``52:54:00:12:34:56``, 2026.1 of the version ``2026.10`` and false of the country ``NO``. Tags,
anchors, aliases and merge keys are refused: none is needed here, and aliases can make gigabytes of
a page.

Positions are not kept. They are found by reading a document's own text once more, when there is an
error to report, so that ten thousand documents load as fast as they parse.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bundles.errors import GooseError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from bundles.files.yaml_events import Place, Value

    Model = TypeVar("Model", bound=BaseModel)


MAX_BYTES = 16 << 20  # of one file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong at one place. `line` and `column` count from 1; `field` is dotted."""

    source: str
    line: int
    column: int
    field: str
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}:{self.column}: "
        named = f"{self.field}: " if self.field else ""
        return where + named + self.message + (f" ({self.suggestion})" if self.suggestion else "")


class InvalidDocument(GooseError):
    """A document is not what its kind allows; `problems` lists everything that is wrong."""

    code = "invalid-document"
    default_hint = "correct the lines named above; nothing was changed"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.source, p.line, p.column)))
        super().__init__(
            "\n".join(map(str, self.problems)),
            problems=[asdict(p) for p in self.problems],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One YAML document: its value, and where each part of it stands."""

    value: Value
    source: str
    line: int  # its first, from 1
    text: str = field(repr=False)  # of the whole file
    start: int = field(repr=False)  # of this document in `text`
    end: int = field(repr=False)

    def position(self, path: Place, *, key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the value at `path`, or of its key.

        Of the nearest part that exists when nothing stands at `path`.
        """
        from bundles.files.yaml_events import KEY, positions

        spots = positions(self.text[self.start : self.end])
        found = spots.get((*path, KEY)) if key else None
        while found is None and path:
            found = spots.get(path)
            path = path[:-1]
        line, column = found or spots.get((), (0, 0))
        if line and self.line + line > self.text.count("\n") + 1:
            line, column = 0, 0  # nothing after a bare `---` stands in a line that is not there
        return self.line + line, column + 1

    def problem(
        self,
        path: Place,
        message: str,
        suggestion: str | None = None,
        *,
        key: bool = False,
    ) -> Problem:
        """A problem at `path` (at its key if `key`)."""
        line, column = self.position(path, key=key)
        return Problem(self.source, line, column, dotted(path), message, suggestion)


def dotted(path: Place) -> str:
    """``("network", "nameservers", 0)`` as ``network.nameservers[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read(path: Path, *, limit: int = MAX_BYTES) -> list[Document]:
    """The documents of a UTF-8 file. Raises `InvalidDocument`; OSError when it cannot be read."""
    with path.open("rb") as file:
        data = file.read(limit + 1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8").removeprefix("\ufeff")
        raise _refusal(
            str(path),
            before,
            len(before),
            f"byte {data[error.start]:#04x} is not UTF-8 text",
        ) from error
    return load(text, str(path), limit=limit)


def load(text: str, source: str, *, limit: int = MAX_BYTES) -> list[Document]:
    """The documents of `text`; `source` names it in errors. Raises `InvalidDocument`."""
    import yaml

    from bundles.files.yaml_events import REFUSED, Reader

    text = text.removeprefix("\ufeff")
    if len(text) > limit:
        raise _refusal(source, "", 0, f"the file is larger than {limit} bytes")
    if match := REFUSED.search(text):
        character = f"U+{ord(match[0][0]):04X}"
        raise _refusal(source, text, match.start(), f"the character {character} is not allowed")
    reader = Reader()
    problems: list[Problem] = []
    try:
        reader.run(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        index = mark.index if mark else 0
        what = error.problem or error.context or "this cannot be read"
        problems.append(_at(source, text, index, f"not YAML: {what}"))
    except yaml.YAMLError as error:
        problems.append(_at(source, text, 0, f"not YAML: {error}"))
    problems += [_at(source, text, *refusal) for refusal in reader.refusals]
    if problems:
        raise InvalidDocument(problems)
    return [Document(c.value, source, c.line + 1, text, c.start, c.end) for c in reader.contents]


def validate(document: Document, model: type[Model]) -> Model:
    """`document` as a `model`. Raises `InvalidDocument` with all of its problems."""
    from pydantic import ValidationError

    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        from bundles.files.wording import problems

        raise InvalidDocument(problems(document, model, error)) from None


def nearest(name: str, known: Sequence[str]) -> str | None:
    """A suggestion for a misspelt `name`, in words."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1, 0.6)
    return f"did you mean {near[0]}?" if near else None


def _at(source: str, text: str, index: int, message: str, name: str = "") -> Problem:
    line = text.count("\n", 0, index) + 1
    return Problem(source, line, index - text.rfind("\n", 0, index), name, message)


def _refusal(source: str, text: str, index: int, message: str) -> InvalidDocument:
    return InvalidDocument([_at(source, text, index, message)])
