"""What commands about machines and tokens share: the state, the profiles and who is asking."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bundles.errors import UsageError
from goosectl import output, site

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


def infra_if_good(otherwise: str) -> Infra | None:
    """The infra profiles; None, and a note of what is done `otherwise`, when they have errors."""
    from bundles.document import InvalidDocument

    try:
        return infra()
    except InvalidDocument:
        output.get().note(
            f"the infra profiles have errors (see `goosectl infra validate`): {otherwise}"
        )
        return None


def resolve(name: str, *, needs_profiles: bool = True) -> tuple[str, str | None]:
    """The MAC under which the state knows a machine given by name or by any MAC of its, and its
    name if a profile names it.

    Without `needs_profiles` a MAC is taken as it is when the profiles have errors: what stops an
    install must work then too. Raises `UsageError`, `MachineUnknown` or `InvalidDocument`.
    """
    from goosed_daemon.errors import MachineUnknown
    from goosed_daemon.infra import mac

    if needs_profiles or not _is_mac(name):
        found = infra()
    else:
        found = infra_if_good("the MAC is taken as it is; a machine of several goes by its first")
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


def _is_mac(text: str) -> bool:
    from goosed_daemon.infra import mac

    try:
        mac.normalise(text)
    except mac.BadMac:
        return False
    return True


def _near(found: Infra, name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, found.machines, 1, 0.6)
    return f"did you mean {near[0]}?" if near else "see `goosectl infra list`"


def show(at: datetime | None) -> str | None:
    """A time as people and scripts read it: RFC 3339, UTC."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
