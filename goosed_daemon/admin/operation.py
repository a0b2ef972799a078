"""What an operation of the administration is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from bundles.errors import GooseError
from bundles.site.catalog import Catalog
from goosed_daemon.admin.naming import Profiles
from goosed_daemon.admin_tokens import Role
from goosed_daemon.agents import Agents
from goosed_daemon.places import Places
from goosed_daemon.settings import Settings
from goosed_daemon.state import State
from goosed_daemon.tokens import Tokens

A = TypeVar("A", bound=BaseModel)
AnswerOf = TypeVar("AnswerOf", bound=BaseModel, covariant=True)


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a site that an operation works on, who asks for it, and when.

    What not every operation needs is a call, so that nothing is read or made in vain.
    """

    state: State
    settings: Settings
    infra: Profiles
    tokens: Callable[[], Tokens]
    agents: Callable[[], Agents]
    catalog: Callable[[], Catalog]
    now: datetime  # aware, UTC
    actor: str  # for the audit log
    asked_at: str  # the address the daemon was asked at, where no setting names a better one

    def places(self) -> Places:
        """Who installs now, and who waits for that."""
        return Places(self.state, self.settings.installs_at_once)


@dataclass(frozen=True, slots=True)
class Operation(Generic[A]):
    """One thing that can be asked for. `run` takes a `Context`, the variables of the path by name,
    and `query` and `body` where there are models of them."""

    method: str
    path: str
    role: Role
    summary: str
    answer: type[A]
    run: Callable[..., A]
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    status: int = 200
    refusals: tuple[type[GooseError], ...] = ()  # beside those that any operation has

    @property
    def looks(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"


class Operator(Protocol):
    """Whoever does operations: this process, or a daemon elsewhere."""

    def call(
        self,
        operation: Operation[A],
        *,
        query: BaseModel | None = None,
        body: BaseModel | None = None,
        **path: str,
    ) -> A:
        """Does it and gives its answer. Raises `GooseError` with the same codes either way."""


def arguments(
    query: BaseModel | None, body: BaseModel | None, path: dict[str, str]
) -> dict[str, Any]:
    """What `Operation.run` takes beside its context."""
    given: dict[str, Any] = dict(path)
    if query is not None:
        given["query"] = query
    if body is not None:
        given["body"] = body
    return given
