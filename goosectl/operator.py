"""What commands about machines and tokens share: the state, the profiles and who is asking."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bundles.errors import UsageError
from goosectl import site

if TYPE_CHECKING:
    from goosed_daemon.infra import Infra
    from goosed_daemon.settings import Settings
    from goosed_daemon.state import State
    from goosed_daemon.tokens import Tokens


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
def state() -> Iterator[State]:
    """The site's state, migrated, for as long as the block lasts."""
    from goosed_daemon.state import open_state

    opened = open_state(site.home(), now())
    try:
        yield opened
    finally:
        opened.close()


def tokens(of: State, settings: Settings) -> Tokens:
    """The site's tokens."""
    from goosed_daemon import token_key
    from goosed_daemon.tokens import Tokens

    return Tokens(of, token_key.load(settings.home.token_key), settings.token_ttl)


def infra() -> Infra | None:
    """The infra profiles; None where there are none. Raises `InvalidDocument`."""
    from goosed_daemon import infra as profiles

    folder = site.home().infra
    return profiles.load(folder) if folder.is_dir() else None


def resolve(name: str) -> tuple[str, str | None]:
    """The MAC under which the state knows a machine given by name or by any MAC of its, and its
    name if a profile names it. Raises `UsageError` or `MachineUnknown`."""
    from goosed_daemon.errors import MachineUnknown
    from goosed_daemon.infra import mac

    found = infra()
    named = found.machine(name) if found is not None else None
    if named is not None:
        return named.mac[0], named.name
    try:
        given = mac.normalise(name)
    except mac.BadMac as error:
        if ":" in name or not found:
            raise UsageError(error.message, hint=error.hint) from error
        raise MachineUnknown(
            f"no Machine document has the name {name!r}", hint=_near(found, name)
        ) from error
    machine = found.machine_by_mac(given) if found is not None else None
    return (machine.mac[0], machine.name) if machine is not None else (given, None)


def _near(found: Infra, name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, found.machines, 1, 0.6)
    return f"did you mean {near[0]}?" if near else "see `goosectl infra list`"


def show(at: datetime | None) -> str | None:
    """A time as people and scripts read it: RFC 3339, UTC."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
