"""What a document says together with those that it inherits from, and who said what.

Documents are merged as they were written, before they are typed: the whole is then checked as if it
stood in one document, and each problem is told where its part was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bundles.files.document import Document, Problem
from bundles.files.yaml_events import Place
from goosed_daemon.infra.models import MERGE, OF_PROFILE, Merge

_DISTINCT = frozenset({"sshKeys", "packages"})  # naming one twice means no more than once


@dataclass(frozen=True, slots=True)
class Said:
    """What one document says of a field, or of one key or entry of it."""

    value: Any
    document: Document
    path: Place  # in `document`


@dataclass(frozen=True, slots=True)
class Merged:
    """`base` with what `layers` say: the general first, `base` among them.

    Stands in for a `Document` wherever problems are told.
    """

    base: Document
    layers: tuple[Document, ...]
    rules: Mapping[str, Merge]
    value: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        merged = dict(_mapping(self.base))
        given: set[str] = set().union(*(_mapping(la) for la in self.layers if la is not self.base))
        for name in given & self.rules.keys():
            merged[name] = self._whole(name)
        object.__setattr__(self, "value", merged)

    def problem(
        self, path: Place, message: str, suggestion: str | None = None, *, key: bool = False
    ) -> Problem:
        """As `Document.problem`, in the document that `path` comes from."""
        document, own = self.origin(path)
        return document.problem(own, message, suggestion, key=key)

    def origin(self, path: Place) -> tuple[Document, Place]:
        """Where the part at `path` was written: the document, and the path in it."""
        if path and path[0] in self.rules:
            for at, one in self.parts(str(path[0])):
                if path[: len(at)] == at:
                    return one.document, (*one.path, *path[len(at) :])
        return self.base, path

    def said(self, name: str) -> Iterator[Said]:
        """What each layer says of the field `name`, the general first."""
        layers = self.layers
        if self.rules[name] is Merge.DEFAULTS and _mapping(self.base).get(name) is None:
            layers = (self.base,)
        for layer in layers:
            value = _mapping(layer).get(name)
            if value is not None:
                yield Said(value, layer, (name,))

    def parts(self, name: str) -> list[tuple[Place, Said]]:
        """The parts that the field `name` is made of, each with who said it: the whole of it, its
        keys, or its entries, as its rule has it."""
        said = list(self.said(name))
        rule = self.rules[name]
        if rule is Merge.APPEND and all(isinstance(one.value, list) for one in said):
            entries: list[Said] = []
            for one in said:
                for number, value in enumerate(one.value):
                    if name in _DISTINCT and any(value == other.value for other in entries):
                        continue
                    entries.append(Said(value, one.document, (name, number)))
            return [((name, number), one) for number, one in enumerate(entries)]
        if rule in (Merge.KEYS, Merge.DEFAULTS) and all(isinstance(o.value, dict) for o in said):
            keys: dict[str, Said] = {}
            for one in said:
                for key, value in one.value.items():
                    if value is not None:
                        keys[key] = Said(value, one.document, (name, key))
            return [((name, key), one) for key, one in keys.items()]
        return [((name,), said[-1])] if said else []

    def _whole(self, name: str) -> Any:
        parts = self.parts(name)
        if parts and len(parts[0][0]) == 1:
            return parts[0][1].value
        if self.rules[name] is Merge.APPEND:
            return [one.value for _, one in parts]
        given = any(True for _ in self.said(name))
        return {path[1]: one.value for path, one in parts} if given else None


def machine(own: Document, layers: Sequence[Document]) -> Merged:
    """A machine with what it inherits from: the general first."""
    return Merged(own, (*layers, own), MERGE)


def of_site(site: Document) -> Document | None:
    """What machines inherit from their site field by field, if anything; the rest it keeps."""
    variables = _mapping(site).get("variables")
    return replace(site, value={"variables": variables}) if variables else None


def profile(own: Document, layers: Sequence[Document]) -> Merged:
    """A profile with what groups and a machine add."""
    return Merged(own, (own, *layers), dict.fromkeys(OF_PROFILE, Merge.APPEND))


def adds_to_profile(document: Document) -> bool:
    """Whether a machine or group has something to add to a profile."""
    value = _mapping(document)
    return any(value.get(name) for name in OF_PROFILE)


def _mapping(document: Document) -> dict[str, Any]:
    return document.value if isinstance(document.value, dict) else {}
