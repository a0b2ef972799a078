"""Whether every secret that is named can be had, each told where it is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bundles.files.document import Problem
from bundles.files.yaml_events import Place
from goosed_daemon.errors import SecretExposed, SecretMissing, SecretUnreadable
from goosed_daemon.infra.known import Infra
from goosed_daemon.infra.models import SecretRef
from goosed_daemon.infra.models.secret import PasswordHashRef
from goosed_daemon.infra.secrets import Secrets


def references(infra: Infra) -> Iterator[tuple[SecretRef, Problem]]:
    """Every reference in the documents of a site, and what would be said if it were wrong."""
    for place in infra.places.values():
        document = place.document
        for path, value in _named(document.value):
            hashed = str(path[-1]).lower().endswith("passwordhash")
            ref = (PasswordHashRef if hashed else SecretRef).model_validate(value)
            yield ref, document.problem(path, "")


def unreadable(infra: Infra, secrets: Secrets) -> list[Problem]:
    """The references that lead to no secret, or to one that cannot stand where it is named."""
    found = []
    for ref, problem in references(infra):
        try:
            secrets.value(ref)
        except (SecretMissing, SecretExposed, SecretUnreadable) as error:
            found.append(
                Problem(
                    problem.source,
                    problem.line,
                    problem.column,
                    problem.field,
                    error.message,
                    error.hint,
                )
            )
    return found


def _named(value: Any, path: Place = ()) -> Iterator[tuple[Place, dict[str, Any]]]:
    if isinstance(value, dict):
        if "secretFrom" in value:
            yield path, value
            return
        for key, part in value.items():
            if type(part) is not str:
                yield from _named(part, (*path, key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            if type(part) is not str:
                yield from _named(part, (*path, number))
