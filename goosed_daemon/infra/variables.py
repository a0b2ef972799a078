"""The variables of a machine: what was given for it, checked against what its profile declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bundles.files.document import Document, Problem, nearest
from goosed_daemon.infra.inherit import Merged
from goosed_daemon.infra.models import Machine, OSProfile, SecretRef
from goosed_daemon.infra.models.variable import Variable


class Variables:
    """Types the variables of machines, and notes which of those given in common anyone uses."""

    def __init__(self, profiles: Mapping[str, OSProfile]) -> None:
        self._declared = sorted({name for p in profiles.values() for name in p.variables})
        self._common: dict[tuple[int, str], tuple[Document, bool]] = {}

    def of(
        self, machine: Machine, merged: Merged, profile: OSProfile | None
    ) -> tuple[Machine, list[Problem]]:
        """`machine` with its variables as its commands see them, and what is wrong with them.

        A profile that declares none takes whatever it is given. Without a profile (one that is not
        there, or has mistakes) nothing can be said.
        """
        declared = profile.variables if profile is not None else {}
        if not (machine.variables or declared):
            return machine, []
        said = {str(path[1]): one.document for path, one in merged.parts("variables")}
        problems = []
        for name, document in said.items():
            known = name in declared or not declared
            if document is not merged.base:
                _, used = self._common.get((id(document), name), (document, False))
                self._common[id(document), name] = document, used or known
            elif not known:
                problems.append(
                    merged.problem(
                        ("variables", name),
                        f"OSProfile {machine.profile} declares no such variable",
                        _hint(name, list(declared)),
                        key=True,
                    )
                )
        if not declared:
            values = {name: _plain(value) for name, value in machine.variables.items()}
        else:
            values = dict(_typed(machine, merged, declared, problems))
        return machine.model_copy(update={"variables": values}), problems

    def unused(self) -> Iterator[tuple[Problem, Document]]:
        """Variables of the site or a group that no profile of any of their machines declares."""
        for (_, name), (document, used) in self._common.items():
            if not used:
                problem = document.problem(
                    ("variables", name),
                    "no OSProfile of the machines that inherit this declares such a variable",
                    _hint(name, self._declared),
                    key=True,
                )
                yield problem, document


def _typed(
    machine: Machine, merged: Merged, declared: Mapping[str, Variable], problems: list[Problem]
) -> Iterator[tuple[str, str | SecretRef]]:
    for name, variable in declared.items():
        value = machine.variables.get(name, variable.default)
        at = ("variables", name)
        if value is None:
            if variable.required:
                message = f"is missing: OSProfile {machine.profile} requires it"
                problems.append(merged.problem(at, message))
            continue
        try:
            yield name, variable.text(value)
        except ValueError as error:
            problems.append(merged.problem(at, str(error)))


def _plain(value: Any) -> str | SecretRef:
    return " ".join(value) if isinstance(value, tuple) else value


def _hint(name: str, known: list[str]) -> str:
    return nearest(name, known) or (f"declared: {', '.join(known)}" if known else "none is")
