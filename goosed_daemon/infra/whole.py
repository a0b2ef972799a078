"""Machines made whole: which groups select one, and what it is with all that it inherits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from bundles.files import wording
from bundles.files.document import Document, Problem
from goosed_daemon.infra import inherit
from goosed_daemon.infra.inherit import Merged
from goosed_daemon.infra.models import Group, Machine, OSProfile

_Model = TypeVar("_Model", bound=BaseModel)


class Wholes:
    """Applies groups to machines. Machines with the same labels share their groups, and those that
    add the same to a profile share what comes of it."""

    def __init__(self, groups: Iterable[tuple[Group, Document]], site: Document | None) -> None:
        self._groups = sorted(groups, key=lambda pair: (pair[0].priority, pair[0].name))
        common = inherit.of_site(site) if site is not None else None
        self._common = (common,) if common is not None else ()
        self._selected: dict[frozenset[tuple[str, str]], tuple[tuple[Group, Document], ...]] = {}
        self._profiles: dict[tuple[str, tuple[str, ...]], OSProfile | None] = {}
        self.groups_of: dict[str, tuple[Group, ...]] = {}  # by machine
        self.profile_of: dict[str, OSProfile] = {}  # of machines that add to theirs

    def merged(self, item: Document) -> Merged:
        """A machine's document with those that it inherits from."""
        return inherit.machine(item, (*self._common, *(own for _, own in self.selected(item))))

    def selected(self, item: Document) -> tuple[tuple[Group, Document], ...]:
        """The groups that select a machine by its document's labels, the one that overrules the
        others last. Labels that are none select nothing; they are a problem elsewhere."""
        labels = item.value.get("labels") if isinstance(item.value, dict) else None
        pairs = labels.items() if isinstance(labels, dict) else ()
        words = {key: value for key, value in pairs if isinstance(value, str)}
        known = frozenset(words.items())
        if known not in self._selected:
            self._selected[known] = tuple(
                pair for pair in self._groups if pair[0].selector.selects(words)
            )
        return self._selected[known]

    def take(self, machine: Machine, item: Document) -> None:
        """Notes the groups of a machine that is known to be right."""
        self.groups_of[machine.name] = tuple(group for group, _ in self.selected(item))

    def add(
        self, machine: Machine, item: Document, profile: OSProfile, base: Document
    ) -> list[Problem]:
        """Notes what becomes of the profile of a machine that adds to it; what is wrong with it."""
        adding = [own for _, own in self.selected(item) if inherit.adds_to_profile(own)]
        own = inherit.adds_to_profile(item)
        if not (adding or own):
            return []
        names = tuple(group.name for group, _ in self.selected(item))
        if own:
            added, problems = typed(inherit.profile(base, (*adding, item)), OSProfile)
        elif (profile.name, names) in self._profiles:
            added, problems = self._profiles[profile.name, names], []
        else:
            added, problems = typed(inherit.profile(base, adding), OSProfile)
            self._profiles[profile.name, names] = added
        if added is not None:
            self.profile_of[machine.name] = added
        return problems


def typed(merged: Merged, model: type[_Model]) -> tuple[_Model | None, list[Problem]]:
    """`merged` as a `model`, or all that is wrong with it."""
    try:
        return model.model_validate(merged.value), []
    except ValidationError as error:
        return None, list(wording.problems(merged, model, error))
