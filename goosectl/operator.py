"""What commands about machines and tokens share: the state, the profiles, who is asking, and who
does what is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bundles.errors import UsageError
from goosectl import output, site

if TYPE_CHECKING:
    from pydantic import BaseModel

    from goosed_daemon.admin.operation import Operation, Operator
    from goosed_daemon.infra import Infra
    from goosed_daemon.state import State

A = TypeVar("A", bound="BaseModel")


def now() -> datetime:
    """The time of what is done here."""
    return datetime.now(UTC)


def actor() -> str:
    """Who is asking, for the audit log: the login name of this process's user."""
    import getpass

    try:
        return f"operator:{getpass.getuser()}"
    except (OSError, KeyError):
        return "operator"


@contextmanager
def state(*, migrated: bool = True) -> Iterator[State]:
    """The site's state, for as long as the block lasts; brought to this version if `migrated`."""
    from goosed_daemon.settings import Settings
    from goosed_daemon.state import connect, open_state

    home, dsn = site.home(), Settings.load().db_dsn
    opened = open_state(home, dsn, now()) if migrated else connect(home, dsn)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def state_if_any(*, migrated: bool = True) -> Iterator[State | None]:
    """The same for commands that only look: None where there is no state, and none is made."""
    from goosed_daemon.settings import Settings

    try:
        if Settings.load().db_dsn is None:
            site.home().state.stat()
    except (FileNotFoundError, NotADirectoryError):
        yield None
        return
    except OSError:
        pass  # opening it says in better words what is wrong
    with state(migrated=migrated) as opened:
        yield opened


@contextmanager
def state_to_look_at() -> Iterator[State]:
    """The same, but an empty one where there is none."""
    from tempfile import TemporaryDirectory

    from goosed_daemon.home import Home
    from goosed_daemon.state import open_state

    with state_if_any() as found:
        if found is not None:
            yield found
            return
    with TemporaryDirectory() as folder:
        empty = open_state(Home(Path(folder)), None, now())
        try:
            yield empty
        finally:
            empty.close()


def infra() -> Infra | None:
    """The infra profiles, without what mistakes stop; None where there are none. Raises
    `InvalidDocument` when that may be anything."""
    from goosed_daemon import infra as profiles

    folder = site.home().infra
    return profiles.load_good(folder) if folder.is_dir() else None


def call(
    operation: Operation[A],
    *,
    query: BaseModel | None = None,
    body: BaseModel | None = None,
    again: bool = False,
    **path: str,
) -> A:
    """Does an operation, at the server that was named or else here, and remarks on what the answer
    says beside its result, unless it was asked before, `again`. Raises `GooseError`."""
    from goosectl import server

    doing: Operator
    if (named := server.chosen()) is not None:
        from goosectl.remote import Remote

        doing = Remote(named)
    else:
        from goosectl.local import Local

        doing = Local()
    answer = doing.call(operation, query=query, body=body, **path)
    for remark in () if again else getattr(answer, "remarks", ()):
        output.get().note(remark)
    return answer


def asked(model: type[A], **fields: object) -> A:
    """A query or body with what was given of `fields`. Raises `UsageError`."""
    from pydantic import ValidationError

    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(map(str, first["loc"])) or "it"
        raise UsageError(f"{name}: {first['msg']}", hint="see --help") from error


def pages(operation: Operation[A], query: BaseModel, limit: int | None = None) -> list[Any]:
    """The items of a list, page by page; the first `limit` of them. What there is to remark on is
    remarked on once."""
    from goosed_daemon.admin.models import LIMIT

    found: list[Any] = []
    page: Any = None
    while True:
        wanted = LIMIT if limit is None else min(LIMIT, limit - len(found))
        again = page is not None
        page = call(operation, query=query.model_copy(update={"limit": wanted}), again=again)
        found += page.items
        if page.next is None or len(found) == limit:
            return found
        query = query.model_copy(update={"cursor": page.next})


def show(at: datetime | None) -> str | None:
    """A time as people and scripts read it: RFC 3339, UTC."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
