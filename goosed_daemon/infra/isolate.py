"""What of a site goes on while some of its documents are wrong.

A machine is stopped by a mistake in its own document, in its profile, in a group that selects it,
and by one that may concern anyone: in the site, in a group whose selector cannot be read, in a file
or document of which nobody can tell what it is. Nothing is ever taken from what stood there before
the mistake (docs/adr, "A mistake stops what it concerns").
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bundles.files import document
from bundles.files.document import Document, InvalidDocument, Problem
from goosed_daemon.infra import mac
from goosed_daemon.infra.inherit import Merged
from goosed_daemon.infra.models import Selector

_KIND = re.compile(r"^kind:[ \t]*(\S*)", re.MULTILINE)
_NAME = re.compile(r"^name:[ \t]*['\"]?([a-z0-9][a-z0-9.-]*)", re.MULTILINE)
_CARD = re.compile(r"(?<![\w:.-])[0-9A-Fa-f]{2}(?:[:-]?[0-9A-Fa-f]{2}){5}(?![\w:.-])")
_BREAK = re.compile(r"^---(?=\s|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A problem, and the document that it makes useless; None: anyone may be concerned."""

    problem: Problem
    document: Document | None


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a machine is not installed: the first of what is wrong with it."""

    problem: Problem
    name: str | None
    mac: str | None  # its first, where that can be read


def stopped(
    wrong: Iterable[Wrong], machines: Iterable[Merged]
) -> dict[tuple[str, str], Stop] | None:
    """The machines that problems stop, by each of what they are known by: ``("mac", "52:...")``,
    ``("uuid", ...)``, ``("serial", ...)``, ``("name", ...)``. None when it may be all of them."""
    own: dict[int, Problem] = {}
    profiles: dict[str, Problem] = {}
    groups: list[tuple[Selector, Problem]] = []
    found: dict[tuple[str, str], Stop] = {}
    for one in sorted(wrong, key=lambda w: (w.problem.source, w.problem.line, w.problem.column)):
        kind, value = _kind(one.document)
        if one.document is None or kind not in ("Machine", "Group", "OSProfile"):
            return None
        if kind == "Machine":
            own.setdefault(id(one.document), one.problem)
            _note(found, one.document, one.problem)
        elif kind == "OSProfile":
            if not isinstance(value.get("name"), str):
                return None
            profiles.setdefault(value["name"], one.problem)
        else:
            try:
                groups.append((Selector.model_validate(value.get("selector")), one.problem))
            except ValidationError:
                return None
    for merged in machines:
        problem = own.get(id(merged.base)) or profiles.get(str(merged.value.get("profile")))
        labels = merged.value.get("labels")
        words = labels if isinstance(labels, dict) else {}
        for selector, reason in groups:
            problem = problem or (reason if selector.selects(words) else None)
        if problem is not None:
            _note(found, merged.base, problem)
    return found


def identities(item: Document) -> Iterator[tuple[str, str]]:
    """What a machine is known by, as far as its document can be read."""
    _, value = _kind(item)
    given = value.get("mac")
    for card in given if isinstance(given, list) else [given]:
        if isinstance(card, str):
            with suppress(mac.BadMac):
                yield "mac", mac.normalise(card)
    for name in ("uuid", "serial", "name"):
        if isinstance(value.get(name), str):
            yield name, value[name].lower() if name == "uuid" else value[name]


def salvage(path: Path, error: InvalidDocument) -> tuple[list[Document], list[Wrong]]:
    """The good documents of a file that is not YAML as a whole, and what is wrong with the others.

    One that says in so many words that it is a machine's stops that machine alone.
    """
    everyone = [Wrong(problem, None) for problem in error.problems]
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > document.MAX_BYTES:
            return [], everyone
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return [], everyone
    good: list[Document] = []
    wrong: list[Wrong] = []
    for start, end in _chunks(text):
        # Behind as many lines as come before it, so that every place is told as it is.
        above = "\n" * text.count("\n", 0, start)
        try:
            good += document.load(above + text[start:end], str(path))
        except InvalidDocument as refused:
            stand_in = _machine_like(text[start:end], path)
            wrong += [Wrong(problem, stand_in) for problem in refused.problems]
    return (good, wrong) if wrong else ([], everyone)


def _chunks(text: str) -> Iterator[tuple[int, int]]:
    """The documents of a text, by the lines of hyphens between them."""
    starts = [0, *(match.end() for match in _BREAK.finditer(text))]
    ends = [*(match.start() for match in _BREAK.finditer(text)), len(text)]
    return zip(starts, ends, strict=True)


def _machine_like(text: str, path: Path) -> Document | None:
    """What can be read of a machine's document that is not YAML, if that is what it is."""
    if _KIND.findall(text) != ["Machine"]:
        return None
    names = _NAME.findall(text)
    value: dict[str, Any] = {"kind": "Machine", "mac": _CARD.findall(text)}
    value |= {"name": names[0]} if names else {}
    return Document(value, str(path), 1, text, 0, 0)


def _note(found: dict[tuple[str, str], Stop], item: Document, problem: Problem) -> None:
    known = list(identities(item))
    cards = [value for by, value in known if by == "mac"]
    names = [value for by, value in known if by == "name"]
    stop = Stop(problem, names[0] if names else None, cards[0] if cards else None)
    for one in known:
        found.setdefault(one, stop)


def _kind(item: Document | None) -> tuple[str, dict[str, Any]]:
    value = item.value if item is not None and isinstance(item.value, dict) else {}
    return str(value.get("kind", "")), value
