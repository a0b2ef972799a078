"""YAML documents whose every problem has a file, a line, a column and a field.

The language is a subset of YAML: mappings with distinct text keys, sequences, and scalars. Scalars
stay text and a schema types them, because YAML 1.1 makes the number 18984200 of the MAC
``1:23:15:36:40``, 2026.1 of the version ``2026.10`` and false of the country ``NO``. Tags, anchors,
aliases and merge keys are refused: none is needed here, and an alias can make gigabytes of a page.

Positions are not kept. They are found by reading a document's own text once more, when there is an
error to report, so that ten thousand documents load as fast as they parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bundles.errors import GooseError

if TYPE_CHECKING:
    from pydantic import BaseModel

    Model = TypeVar("Model", bound=BaseModel)

Value = dict[str, Any] | list[Any] | str | None
Path_ = tuple[str | int, ...]

MAX_BYTES = 16 << 20  # of one file
MAX_DEPTH = 32  # mappings and sequences inside each other

NULLS = frozenset(("", "~", "null", "Null", "NULL"))  # YAML 1.2.2, section 10.3.2

# Controls, surrogates, noncharacters, and what YAML 1.1 takes for line breaks but editors do not.
_REFUSED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]|\r(?!\n)"
)


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
    line: int  # of its first character, from 1
    column: int
    text: str = field(repr=False)  # of the whole file
    start: int = field(repr=False)  # of this document in `text`
    end: int = field(repr=False)

    def position(self, path: Path_, *, key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the value at `path`, or of its key.

        Of the nearest part that exists when nothing stands at `path`.
        """
        spots = _positions(self.text[self.start : self.end])
        found = spots.get((*path, _Key)) if key else None
        while found is None and path:
            found = spots.get(path)
            path = path[:-1]
        line, column = found or spots.get((), (0, 0))
        return self.line + line, column + (self.column if line == 0 else 1)

    def problem(
        self,
        path: Path_,
        message: str,
        suggestion: str | None = None,
        *,
        key: bool = False,
    ) -> Problem:
        """A problem at `path` (at its key if `key`)."""
        line, column = self.position(path, key=key)
        return Problem(self.source, line, column, dotted(path), message, suggestion)


def dotted(path: Path_) -> str:
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

    text = text.removeprefix("\ufeff")
    if len(text) > limit:
        raise _refusal(source, "", 0, f"the file is larger than {limit} bytes")
    if match := _REFUSED.search(text):
        character = f"U+{ord(match[0][0]):04X}"
        raise _refusal(source, text, match.start(), f"the character {character} is not allowed")
    reader = _Reader(text, source)
    try:
        reader.run(_events(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        index = mark.index if mark else 0
        what = error.problem or error.context or "this cannot be read"
        reader.problems.append(_at(source, text, index, f"not YAML: {what}"))
    except yaml.YAMLError as error:
        reader.problems.append(_at(source, text, 0, f"not YAML: {error}"))
    if reader.problems:
        raise InvalidDocument(reader.problems)
    return reader.documents


def validate(document: Document, model: type[Model]) -> Model:
    """`document` as a `model`. Raises `InvalidDocument` with all of its problems."""
    from pydantic import ValidationError

    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        from bundles.wording import problems

        raise InvalidDocument(problems(document, model, error)) from None


def nearest(name: str, known: Sequence[str]) -> str | None:
    """A suggestion for a misspelt `name`, in words."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1, 0.6)
    return f"did you mean {near[0]}?" if near else None


def _events(text: str) -> Iterator[Any]:
    import yaml

    loader: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    return iter(yaml.parse(text, Loader=loader))


def _at(source: str, text: str, index: int, message: str, name: str = "") -> Problem:
    line = text.count("\n", 0, index) + 1
    return Problem(source, line, index - text.rfind("\n", 0, index), name, message)


def _refusal(source: str, text: str, index: int, message: str) -> InvalidDocument:
    return InvalidDocument([_at(source, text, index, message)])


class _Key:
    """Marks, in a table of positions, the place of a key instead of its value."""


class _Reader:
    """Builds values from parser events, one pass, without recursion."""

    def __init__(self, text: str, source: str) -> None:
        self.text, self.source = text, source
        self.documents: list[Document] = []
        self.problems: list[Problem] = []

    def refuse(self, event: Any, message: str, name: str = "") -> None:
        self.problems.append(_at(self.source, self.text, event.start_mark.index, message, name))

    def run(self, events: Iterator[Any]) -> None:
        import yaml

        stack: list[tuple[Any, Any]] = []  # (container, the key that waits for its value)
        container: Any = None
        key: Any = None
        start: Any = None
        for event in events:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                value: Any = event.value
                if event.tag is not None or event.anchor is not None:
                    self._extras(event)
                if event.style == '"' and (match := _REFUSED.search(value)):
                    self.refuse(event, f"the escape for U+{ord(match[0][0]):04X} is not allowed")
                if type(container) is dict and key is None:
                    key = self._key(event, container)
                    continue
                if not event.style and value in NULLS:
                    value = None
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._extras(event)
                if len(stack) >= MAX_DEPTH:
                    self.refuse(event, f"nested more than {MAX_DEPTH} deep")
                    return
                if type(container) is dict and key is None:
                    self.refuse(event, "a key must be a plain word, not a mapping or a list")
                    return
                stack.append((container, key))
                container, key = ({} if kind is yaml.MappingStartEvent else []), None
                continue
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                value = container
                container, key = stack.pop()
            elif kind is yaml.DocumentStartEvent:
                container, key, start = [], None, event.start_mark
                continue
            elif kind is yaml.DocumentEndEvent:
                self._finish(container, start, event.end_mark)
                continue
            elif kind is yaml.AliasEvent:
                self.refuse(
                    event,
                    f"the alias *{event.anchor} is not allowed: write the value out",
                )
                return
            else:
                continue
            if type(container) is list:
                container.append(value)
            else:
                container[key] = value
                key = None

    def _finish(self, content: list[Any], start: Any, end: Any) -> None:
        self.documents.append(
            Document(
                content[0],
                self.source,
                start.line + 1,
                start.column + 1,
                self.text,
                start.index,
                end.index,
            )
        )

    def _extras(self, event: Any) -> None:
        if event.tag is not None:
            self.refuse(event, f"the tag {event.tag} is not allowed: the schema types the value")
        if event.anchor is not None:
            self.refuse(event, f"the anchor &{event.anchor} is not allowed: write the value out")

    def _key(self, event: Any, container: dict[str, Any]) -> str:
        key: str = event.value
        if not event.style and key == "<<":
            self.refuse(event, "the merge key << is not allowed: write the fields out", key)
        elif not key:
            self.refuse(event, "a key is empty")
        elif key in container:
            self.refuse(event, f"the key {key!r} is given twice in one mapping", key)
        return key


def _positions(text: str) -> dict[Any, tuple[int, int]]:
    """Line and column, from 0, of every value (by its path) and key (by its path and `_Key`)."""
    import yaml

    spots: dict[Any, tuple[int, int]] = {}
    stack: list[tuple[bool, Path_]] = []  # (is it a mapping, its path)
    path: Path_ = ()
    mapping = False
    key: Any = None
    index = 0
    counts: list[int] = []
    for event in _events(text):
        kind = type(event)
        mark = event.start_mark
        if kind in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
            mapping, path = stack.pop()
            index, key = counts.pop(), None
            continue
        if kind not in (
            yaml.ScalarEvent,
            yaml.MappingStartEvent,
            yaml.SequenceStartEvent,
        ):
            continue
        if mapping and key is None:
            key = event.value
            spots.setdefault((*path, key, _Key), (mark.line, mark.column))
            continue
        here: Path_ = path if not stack else (*path, key if mapping else index)
        spots.setdefault(here, (mark.line, mark.column))
        index, key = index + 1, None
        if kind is not yaml.ScalarEvent:
            stack.append((mapping, path))
            counts.append(index)
            mapping, path, index = kind is yaml.MappingStartEvent, here, 0
    return spots
