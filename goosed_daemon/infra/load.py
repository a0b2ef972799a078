"""A folder of YAML files -> an `Infra` whose every reference holds."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from bundles import document
from bundles.document import Document, InvalidDocument, Problem
from goosed_daemon.infra.models import KINDS, Machine, OSProfile, Site

_Kind = Site | OSProfile | Machine
_Named = TypeVar("_Named", OSProfile, Machine)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a profile was written."""

    document: Document

    def __str__(self) -> str:
        line, _ = self.document.position(("name",))
        return f"{self.document.source}:{line}"


@dataclass(frozen=True, slots=True)
class Infra:
    """All profiles of a site, consistent with each other. Look-ups take constant time."""

    site: Site
    profiles: Mapping[str, OSProfile]
    machines: Mapping[str, Machine]
    places: Mapping[tuple[str, str], Place]  # by kind and name
    _by_mac: Mapping[str, Machine]
    _by_uuid: Mapping[str, Machine]
    _by_serial: Mapping[str, Machine]

    def profile(self, name: str) -> OSProfile:
        """The profile `name`; every machine's exists. Raises KeyError."""
        return self.profiles[name]

    def machine(self, name: str) -> Machine | None:
        """The machine `name`."""
        return self.machines.get(name)

    def machine_by_mac(self, mac: str) -> Machine | None:
        """The machine with this MAC, in the spelling of `mac.normalise`."""
        return self._by_mac.get(mac)

    def machine_by_uuid(self, uuid: str) -> Machine | None:
        """The machine with this UUID, in lower case."""
        return self._by_uuid.get(uuid)

    def machine_by_serial(self, serial: str) -> Machine | None:
        """The machine with this serial number."""
        return self._by_serial.get(serial)


def files(folder: Path, unreadable: Callable[[OSError], None] = lambda error: None) -> list[Path]:
    """The YAML files of `folder` and its sub-folders, sorted; hidden ones are left out.

    `unreadable` is told of every folder that cannot be listed; one that is not there is empty.
    """

    def failed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            unreadable(error)

    found = []
    for at, folders, names in os.walk(folder, onerror=failed):
        folders[:] = [name for name in folders if name[0] != "."]
        # A folder of such a name is a mistake worth a word.
        shown = (name for name in (*names, *folders) if name[0] != ".")
        found += [Path(at, name) for name in shown if name.endswith((".yaml", ".yml"))]
    return sorted(found)


def load(folder: Path) -> Infra:
    """The profiles of `folder`. Raises `InvalidDocument` with the problems of all files."""
    loader = _Loader()
    for path in files(folder, loader.unreadable):
        loader.file(path)
    return loader.infra(folder)


def _read(path: Path) -> list[Document]:
    # To open a FIFO, or to read a terminal, would wait for good.
    if not stat.S_ISREG(path.stat().st_mode):
        raise InvalidDocument([Problem(str(path), 1, 1, "", "is not a regular file")])
    return document.read(path)


class _Loader:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.kept: list[tuple[_Kind, Document]] = []
        self.broken: set[object] = set()  # names of documents with problems of their own

    def file(self, path: Path) -> None:
        try:
            documents = _read(path)
        except InvalidDocument as error:
            self.problems += error.problems
        except OSError as error:
            self.unreadable(error, path)
        else:
            for item in documents:
                self.document(item)

    def unreadable(self, error: OSError, path: Path | None = None) -> None:
        source = str(path or error.filename)
        self.problems.append(
            Problem(source, 1, 1, "", f"cannot be read: {error.strerror or error}")
        )

    def document(self, item: Document) -> None:
        if item.value is None:
            return  # `---` with nothing after it
        kind = item.value.get("kind") if isinstance(item.value, dict) else None
        model = KINDS.get(kind) if isinstance(kind, str) else None
        if model is None:
            known = ", ".join(KINDS)
            if isinstance(kind, str):
                hint = document.nearest(kind, list(KINDS)) or f"known: {known}"
                self.problems.append(item.problem(("kind",), f"no such kind {kind!r}", hint))
            else:
                self.problems.append(item.problem((), f"has no kind; known: {known}"))
            return
        try:
            self.kept.append((document.validate(item, model), item))
        except InvalidDocument as error:
            self.problems += error.problems
            self.broken.add(item.value.get("name") if isinstance(item.value, dict) else None)

    def infra(self, folder: Path) -> Infra:
        sites = [(kept, item) for kept, item in self.kept if isinstance(kept, Site)]
        profiles = self.unique(OSProfile)
        machines = self.unique(Machine)
        if not sites and not self.problems:
            self.problems.append(
                Problem(str(folder), 1, 1, "", "no Site: one document of kind Site is needed")
            )
        for _, extra in sites[1:]:
            where = Place(sites[0][1])
            self.problems.append(extra.problem(("kind",), f"a second Site; the first is {where}"))
        names = list(profiles)
        for machine, item in machines.values():
            if machine.profile not in profiles and machine.profile not in self.broken:
                hint = document.nearest(machine.profile, names)
                message = f"there is no OSProfile {machine.profile!r}"
                self.problems.append(item.problem(("profile",), message, hint))
        by_mac = self.index("mac", lambda m: m.mac)
        by_uuid = self.index("uuid", lambda m: (m.uuid,) if m.uuid else ())
        by_serial = self.index("serial", lambda m: (m.serial,) if m.serial else ())
        if self.problems:
            raise InvalidDocument(self.problems)
        return Infra(
            sites[0][0],
            MappingProxyType({name: profile for name, (profile, _) in profiles.items()}),
            MappingProxyType({name: machine for name, (machine, _) in machines.items()}),
            MappingProxyType({(kept.kind, kept.name): Place(item) for kept, item in self.kept}),
            by_mac,
            by_uuid,
            by_serial,
        )

    def unique(self, model: type[_Named]) -> dict[str, tuple[_Named, Document]]:
        """The documents of one kind by name; the same name twice is a problem."""
        found: dict[str, tuple[_Named, Document]] = {}
        for kept, item in self.kept:
            if not isinstance(kept, model):
                continue
            if kept.name in found:
                where = Place(found[kept.name][1])
                message = f"{model.__name__} {kept.name!r} exists already, at {where}"
                self.problems.append(item.problem(("name",), message))
            found.setdefault(kept.name, (kept, item))
        return found

    def index(self, field: str, values: Callable[[Machine], Iterable[str]]) -> dict[str, Machine]:
        """Machines by what identifies them; the same value twice is a problem."""
        found: dict[str, tuple[Machine, Document]] = {}
        for machine, item in self.kept:
            if not isinstance(machine, Machine):
                continue
            for number, value in enumerate(values(machine)):
                if value in found:
                    other, place = found[value]
                    message = f"{value} is also machine {other.name!r}, at {Place(place)}"
                    listed = isinstance(item.value, dict) and isinstance(item.value[field], list)
                    at = (field, number) if listed else (field,)
                    self.problems.append(item.problem(at, message))
                found.setdefault(value, (machine, item))
        return {value: machine for value, (machine, _) in found.items()}
