"""Where everything that a machine is comes from: field by field, who said it and who was overruled.

The words are those of the documents, with secrets hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bundles.files.document import Document, dotted
from goosed_daemon.infra.inherit import Merged, Said
from goosed_daemon.infra.known import Infra
from goosed_daemon.infra.models import (
    MERGE,
    OF_PROFILE,
    OF_SITE,
    Machine,
    Merge,
    OSProfile,
    SecretRef,
    Site,
)
from goosed_daemon.infra.secrets import words

_SECRET = re.compile("password|passphrase|secret", re.IGNORECASE)
_IDENTITY = ("apiVersion", "kind", "name")


@dataclass(frozen=True, slots=True)
class Origin:
    """Who says something: a document, and the line in it."""

    kind: str
    name: str
    file: str
    line: int  # from 1
    value: Any  # what it says, secrets hidden

    def __str__(self) -> str:
        return f"{self.kind} {self.name}, {self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Effective:
    """A field of a machine, or one key or entry of it, as it counts in the end."""

    field: str  # dotted
    value: Any  # secrets hidden
    origin: Origin | None  # None: nobody says anything, and the default counts
    overruled: tuple[Origin, ...]  # the general first


def explain(infra: Infra, machine: Machine) -> list[Effective]:
    """Every field that `machine` is installed by."""
    own = infra.places["Machine", machine.name].document
    profile = infra.places["OSProfile", infra.profile_of(machine).name].document
    site = infra.places["Site", infra.site.name].document
    groups = [infra.places["Group", g.name].document for g in infra.groups_of(machine)]
    whole = Merged(own, (_of_site(site), _of_profile(profile), *groups, own), MERGE)
    found = list(_own(own, Machine))
    for name in MERGE:
        found += _inherited(whole, name)
    found += [*_own(profile, OSProfile), *_own(site, Site)]
    told = {one.field.partition(".")[0].partition("[")[0] for one in found}
    return [*found, *_defaults(OSProfile, told), *_defaults(Site, told)]


def _own(document: Document, model: type[Any]) -> Iterator[Effective]:
    """Fields that nobody else has a say in."""
    for alias in (field.alias for field in model.model_fields.values()):
        value = document.value.get(alias) if isinstance(document.value, dict) else None
        if value is not None and alias not in MERGE and alias not in _IDENTITY:
            said = Said(value, document, (alias,))
            yield Effective(alias, _shown(value, alias), _origin(said), ())


def _inherited(whole: Merged, name: str) -> Iterator[Effective]:
    said = list(whole.said(name))
    for path, one in whole.parts(name):
        earlier: list[Said] = []
        if whole.rules[name] is Merge.REPLACE:
            earlier = said[:-1]
        elif len(path) == 2 and isinstance(path[1], str):
            key = path[1]
            earlier = [
                Said(other.value[key], other.document, (name, key))
                for other in said
                if other.document is not one.document and other.value.get(key) is not None
            ]
        yield Effective(
            dotted(path), _shown(one.value, name), _origin(one), tuple(map(_origin, earlier))
        )


def _defaults(model: type[Any], told: set[str]) -> Iterator[Effective]:
    """Fields that have a value although nobody gave one."""
    for field in model.model_fields.values():
        silent = field.alias not in told and field.alias not in _IDENTITY
        if silent and isinstance(field.default, str) and field.default:
            yield Effective(field.alias, field.default, None, ())


def _origin(said: Said) -> Origin:
    value = said.document.value if isinstance(said.document.value, dict) else {}
    line, _ = said.document.position(said.path, key=True)
    shown = _shown(said.value, str(said.path[0]))
    return Origin(
        str(value.get("kind", "")),
        str(value.get("name", "")),
        said.document.source,
        line,
        shown,
    )


def _shown(value: Any, name: str) -> Any:
    """`value` as people may see it; `name` is its field's."""
    if isinstance(value, dict) and set(value) == {"secretFrom"}:
        return words(SecretRef.model_validate(value))
    if isinstance(value, dict):
        return {key: _shown(part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [_shown(part, name) for part in value]
    return "(not shown)" if _SECRET.search(name) and isinstance(value, str) else value


def _of_site(site: Document) -> Document:
    return _only(site, (*OF_SITE, "variables"))


def _of_profile(profile: Document) -> Document:
    """What machines add to or overrule; of a variable, what it is unless someone sets it."""
    kept = _only(profile, ("disk", "arguments", "timeouts", *OF_PROFILE))
    declared = profile.value.get("variables") if isinstance(profile.value, dict) else None
    defaults = {
        name: variable["default"]
        for name, variable in (declared or {}).items()
        if isinstance(variable, dict) and variable.get("default") is not None
    }
    return _with(kept, {"variables": defaults}) if defaults else kept


def _with(document: Document, more: dict[str, Any]) -> Document:
    value = document.value if isinstance(document.value, dict) else {}
    return replace(document, value=value | more)


def _only(document: Document, names: tuple[str, ...]) -> Document:
    value = document.value if isinstance(document.value, dict) else {}
    kept = {name: value[name] for name in (*_IDENTITY, *names) if name in value}
    return replace(document, value=kept)
