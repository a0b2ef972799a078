"""A folder of YAML files -> an `Infra` whose every reference holds."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from bundles.files import document
from bundles.files.document import Document, InvalidDocument, Problem
from goosed_daemon.infra.inherit import Merged
from goosed_daemon.infra.isolate import Wrong, salvage, stopped
from goosed_daemon.infra.known import Infra, Place
from goosed_daemon.infra.models import KINDS, Group, Machine, OSProfile, Site
from goosed_daemon.infra.variables import Variables
from goosed_daemon.infra.whole import Wholes, typed

__all__ = ["Infra", "Place", "files", "load", "load_good"]

_NO_PROFILE = "name an OSProfile here, or in a group that selects this machine"
_Named = TypeVar("_Named", OSProfile, Group)
_Kind = Site | OSProfile | Group


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
    found = load_good(folder)
    if found.error is not None:
        raise found.error
    return found


def load_good(folder: Path) -> Infra:
    """The profiles of `folder` without the machines that are stopped by a mistake; `error` has the
    problems of all files. Raises `InvalidDocument` when the mistakes may concern anyone."""
    loader = _Loader()
    for path in files(folder, loader.unreadable):
        loader.file(path)
    return loader.infra(folder)


def _read(path: Path) -> list[Document]:
    # To open a FIFO, or to read a terminal, would wait for good.
    if not stat.S_ISREG(path.stat().st_mode):
        raise InvalidDocument([Problem(str(path), 1, 1, "", "is not a regular file")])
    return document.read(path)


def _name(item: Document) -> str | None:
    name = item.value.get("name") if isinstance(item.value, dict) else None
    return name if isinstance(name, str) else None


class _Loader:
    def __init__(self) -> None:
        self.wrong: list[Wrong] = []
        self.kept: list[tuple[_Kind, Document]] = []
        self.machines: list[Document] = []  # typed last, with what they inherit
        self.broken: set[tuple[str, str | None]] = set()  # kind and name of those with problems

    def file(self, path: Path) -> None:
        try:
            documents = _read(path)
        except InvalidDocument as error:
            documents, wrong = salvage(path, error)
            self.wrong += wrong
        except OSError as error:
            self.unreadable(error, path)
            return
        for item in documents:
            self.document(item)

    def unreadable(self, error: OSError, path: Path | None = None) -> None:
        source = str(path or error.filename)
        message = f"cannot be read: {error.strerror or error}"
        self.note([Problem(source, 1, 1, "", message)], None)

    def note(self, problems: Iterable[Problem], item: Document | None) -> None:
        """Problems that make `item` of no use; None: they may concern anyone."""
        self.wrong += [Wrong(problem, item) for problem in problems]

    def both(self, problem: Problem, item: Document, other: Document) -> None:
        """A problem of two documents of which nobody can tell which is meant."""
        self.wrong += [Wrong(problem, item), Wrong(problem, other)]

    def document(self, item: Document) -> None:
        if item.value is None:
            return  # `---` with nothing after it
        kind = item.value.get("kind") if isinstance(item.value, dict) else None
        model = KINDS.get(kind) if isinstance(kind, str) else None
        if model is None or not isinstance(kind, str):
            known = ", ".join(KINDS)
            if isinstance(kind, str):
                hint = document.nearest(kind, list(KINDS)) or f"known: {known}"
                self.note([item.problem(("kind",), f"no such kind {kind!r}", hint)], None)
            else:
                self.note([item.problem((), f"has no kind; known: {known}")], None)
        elif issubclass(model, Machine):
            self.machines.append(item)
        else:
            try:
                self.kept.append((document.validate(item, model), item))
            except InvalidDocument as error:
                self.note(error.problems, item)
                self.broken.add((kind, _name(item)))

    def infra(self, folder: Path) -> Infra:
        sites = [(kept, item) for kept, item in self.kept if isinstance(kept, Site)]
        profiles, groups = self.unique(OSProfile), self.unique(Group)
        if not sites:
            none = Problem(str(folder), 1, 1, "", "no Site: one document of kind Site is needed")
            self.note([] if self.wrong else [none], None)
        for _, extra in sites[1:]:
            where = Place(sites[0][1])
            self.note([extra.problem(("kind",), f"a second Site; the first is {where}")], None)
        for group, item in groups.values():
            self.note(self.known_profile(group.profile, item, profiles), item)
        whole = Wholes(groups.values(), sites[0][1] if sites else None)
        machines, index = self.whole_machines(whole, profiles)
        stops = stopped(self.wrong, map(whole.merged, self.machines)) if self.wrong else {}
        error = (
            InvalidDocument(dict.fromkeys(w.problem for w in self.wrong)) if self.wrong else None
        )
        if error is not None and (stops is None or not sites):
            raise error
        stops = stops or {}
        machines = {n: known for n, known in machines.items() if ("name", n) not in stops}
        index = {
            by: {
                value: machine
                for value, machine in named.items()
                if machine.name in machines and (by, value) not in stops
            }
            for by, named in index.items()
        }
        places: dict[tuple[str, str], Place]
        places = {(kept.kind, kept.name): Place(item) for kept, item in self.kept}
        places |= {("Machine", name): Place(item) for name, (_, item) in machines.items()}
        return Infra(
            sites[0][0],
            MappingProxyType({name: profile for name, (profile, _) in profiles.items()}),
            MappingProxyType({name: machine for name, (machine, _) in machines.items()}),
            MappingProxyType(places),
            index["mac"],
            index["uuid"],
            index["serial"],
            MappingProxyType({name: group for name, (group, _) in groups.items()}),
            MappingProxyType(whole.groups_of),
            MappingProxyType(whole.profile_of),
            MappingProxyType(stops),
            error,
        )

    def whole_machines(
        self, whole: Wholes, profiles: dict[str, tuple[OSProfile, Document]]
    ) -> tuple[dict[str, tuple[Machine, Document]], dict[str, dict[str, Machine]]]:
        """The machines with what they inherit: by name, and by each of what identifies them."""
        found: dict[str, tuple[Machine, Document]] = {}
        variables = Variables({name: profile for name, (profile, _) in profiles.items()})
        everyone: list[tuple[Machine, Document]] = []  # of a name that is there twice, too
        for item in self.machines:
            merged = whole.merged(item)
            machine, problems = typed(merged, Machine)
            profile = self.profile_of(merged, profiles, problems)
            if machine is not None:
                machine, wrong = variables.of(machine, merged, profile and profile[0])
                problems += wrong
                everyone.append((machine, item))
            if machine is not None and machine.name in found:
                where = Place(found[machine.name][1])
                message = f"Machine {machine.name!r} exists already, at {where}"
                self.both(item.problem(("name",), message), item, found[machine.name][1])
            elif machine is not None:
                found[machine.name] = machine, item
                whole.take(machine, item)
                if profile is not None:
                    problems += whole.add(machine, item, *profile)
            self.note(problems, item)
        for problem, shared in variables.unused():
            self.note([problem], shared)
        return found, {name: self.index(everyone, name) for name in ("mac", "uuid", "serial")}

    def profile_of(
        self,
        merged: Merged,
        profiles: dict[str, tuple[OSProfile, Document]],
        problems: list[Problem],
    ) -> tuple[OSProfile, Document] | None:
        """A machine's profile. That it has none is a problem, unless a group may have been to give
        it one that cannot be read."""
        name = merged.value.get("profile")
        if name is None and not any(kind == "Group" for kind, _ in self.broken):
            problems.append(merged.problem(("profile",), "is missing", _NO_PROFILE))
        if not isinstance(name, str):
            return None
        problems += self.known_profile(name, merged, profiles)
        return profiles.get(name)

    def known_profile(
        self,
        name: str,
        item: Document | Merged,
        profiles: dict[str, tuple[OSProfile, Document]],
    ) -> list[Problem]:
        """Whether there is a profile of this name; one with a mistake is not missing as well."""
        if not name or name in profiles or ("OSProfile", name) in self.broken:
            return []
        hint = document.nearest(name, list(profiles))
        message = f"there is no OSProfile {name!r}"
        return [item.problem(("profile",), message, hint)]

    def unique(self, model: type[_Named]) -> dict[str, tuple[_Named, Document]]:
        """The documents of one kind by name; the same name twice is a problem."""
        found: dict[str, tuple[_Named, Document]] = {}
        for kept, item in self.kept:
            if not isinstance(kept, model):
                continue
            if kept.name in found:
                where = Place(found[kept.name][1])
                message = f"{model.__name__} {kept.name!r} exists already, at {where}"
                self.both(item.problem(("name",), message), item, found[kept.name][1])
            found.setdefault(kept.name, (kept, item))
        return found

    def index(self, machines: list[tuple[Machine, Document]], field: str) -> dict[str, Machine]:
        """Machines by what identifies them; the same value twice is a problem."""
        found: dict[str, tuple[Machine, Document]] = {}
        for machine, item in machines:
            values = getattr(machine, field)
            for number, value in enumerate((values,) if isinstance(values, str) else values or ()):
                if value in found:
                    other, place = found[value]
                    message = f"{value} is also machine {other.name!r}, at {Place(place)}"
                    listed = isinstance(item.value, dict) and isinstance(item.value[field], list)
                    at = (field, number) if listed else (field,)
                    self.both(item.problem(at, message), item, place)
                found.setdefault(value, (machine, item))
        return {value: machine for value, (machine, _) in found.items()}
