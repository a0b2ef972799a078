"""Operations done here, on the folder and database of the site."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from goosectl import operator, site

if TYPE_CHECKING:
    from pydantic import BaseModel

    from goosed_daemon.admin.operation import Context, Operation
    from goosed_daemon.settings import Settings
    from goosed_daemon.token_key import TokenKey

A = TypeVar("A", bound="BaseModel")


class Local:
    """See `goosed_daemon.admin.operation.Operator`."""

    def call(
        self,
        operation: Operation[A],
        *,
        query: BaseModel | None = None,
        body: BaseModel | None = None,
        **path: str,
    ) -> A:
        from goosed_daemon.admin.operation import arguments

        with context(looks=operation.looks or getattr(query, "dry_run", False)) as of:
            return operation.run(of, **arguments(query, body, path))


@contextmanager
def context(*, looks: bool) -> Iterator[Context]:
    """What operations here work on. Who only `looks` makes nothing, not even the state."""
    from bundles.site.catalog import Catalog
    from goosed_daemon.admin.operation import Context
    from goosed_daemon.agents import Agents
    from goosed_daemon.settings import Settings
    from goosed_daemon.tokens import Tokens

    settings = Settings.load()
    with operator.state_to_look_at() if looks else operator.state() as state:
        yield Context(
            state=state,
            settings=settings,
            infra=operator.infra,
            tokens=lambda: Tokens(state, _key(settings, looks=looks), settings.token_ttl),
            agents=lambda: Agents(state, _key(settings, looks=looks), settings.agent_token_ttl),
            catalog=lambda: Catalog(site.store()),
            now=operator.now(),
            actor=operator.actor(),
            asked_at=settings.url(),
        )


def _key(settings: Settings, *, looks: bool) -> TokenKey:
    from goosed_daemon import token_key

    path = settings.home.token_key
    # A site without a key has issued nothing yet, and must not get one by being looked at.
    made = path.exists() or not looks
    return token_key.load(path) if made else token_key.TokenKey(bytes(token_key.SIZE))
