"""Values and positions out of the events of PyYAML's parser; see `bundles.files.document`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

Value = dict[str, Any] | list[Any] | str | None
Place = tuple[str | int, ...]

MAX_DEPTH = 32  # mappings and sequences inside each other
NULLS = frozenset(("", "~", "null", "Null", "NULL"))  # YAML 1.2.2, section 10.3.2

# Controls, surrogates, noncharacters, and what YAML 1.1 takes for line breaks but editors do not.
REFUSED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]|\r(?!\n)"
)
KEY: Final = -1  # at the end of a place: of its key, not of its value


@dataclass(frozen=True, slots=True)
class Content:
    """One document: its value, and where its first line starts and it ends."""

    value: Value
    line: int  # from 0
    start: int  # in the text, in characters
    end: int


class Reader:
    """Builds values from parser events: one pass, no recursion, no object per scalar."""

    def __init__(self) -> None:
        self.contents: list[Content] = []
        self.refusals: list[tuple[int, str, str]] = []  # where in the text, what, of which key

    def refuse(self, event: Any, message: str, name: str = "") -> None:
        self.refusals.append((event.start_mark.index, message, name))

    def run(self, text: str) -> None:
        """Raises yaml.YAMLError."""
        stack: list[tuple[Any, Any]] = []  # (container, the key that waits for its value)
        container: Any = None
        key: Any = None
        start: Any = None
        for event in _events(text):
            kind = type(event)
            if kind is yaml.ScalarEvent:
                value: Any = event.value
                if event.tag is not None or event.anchor is not None:
                    self._extras(event)
                if event.style == '"' and (match := REFUSED.search(value)):
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
                self.contents.append(
                    Content(
                        container[0], start.line, start.index - start.column, event.end_mark.index
                    )
                )
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


def positions(text: str) -> dict[Place, tuple[int, int]]:
    """Line and column, from 0, of every value (by its place) and key (by its place and `KEY`)."""
    spots: dict[Place, tuple[int, int]] = {}
    stack: list[tuple[bool, Place]] = []  # (is it a mapping, its path)
    path: Place = ()
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
            spots.setdefault((*path, key, KEY), (mark.line, mark.column))
            continue
        here: Place = path if not stack else (*path, key if mapping else index)
        spots.setdefault(here, (mark.line, mark.column))
        index, key = index + 1, None
        if kind is not yaml.ScalarEvent:
            stack.append((mapping, path))
            counts.append(index)
            mapping, path, index = kind is yaml.MappingStartEvent, here, 0
    return spots


def _events(text: str) -> Iterator[Any]:
    loader: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    return iter(yaml.parse(text, Loader=loader))
