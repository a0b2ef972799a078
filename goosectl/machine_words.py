"""Machines in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from goosectl.operator import show

if TYPE_CHECKING:
    from goosed_daemon.admin.models import Forgotten, MachineDetail

#: Outcomes that `standing` tells of already.
_TOLD = ("install", "machine-not-armed", "tries-exhausted")


def verb(outcome: str) -> str:
    """What a machine would do, after ``would``."""
    return "INSTALL" if outcome == "install" else "boot its disk"


def lines(machine: MachineDetail) -> list[str]:
    """All that is known of a machine."""
    found = [f"{machine.name or 'no profile'}  {machine.mac}", standing(machine)]
    if machine.outcome not in _TOLD:
        found += [f"but not as things are: {machine.why}", f"hint: {machine.hint}"]
    if (token := machine.last_token) is not None:
        used = f" at {show(token.used_at)} by {token.used_by}" if token.used_at else ""
        found.append(f"last boot token: issued {show(token.issued_at)}, {token.state}{used}")
    if machine.agent is not None:
        seen = f"seen {show(machine.seen_at)}" if machine.seen_at else "never heard of"
        found.append(f"agent: {seen}, {machine.agent}")
    for event in machine.events:
        more = "".join(f"  {key}={text}" for key, text in event.detail.items())
        found.append(f"{show(event.at)}  {event.kind}  by {event.actor}{more}")
    return found


def standing(machine: MachineDetail) -> str:
    """Whether it may install itself, by its arming and its token."""
    since, tries = "never armed", ""
    if machine.state is not None:
        since = f"{machine.state} since {show(machine.changed_at)}, by {machine.changed_by}"
        tries = f" ({machine.tries_left} tries left)" if machine.armed else ""
    if machine.token is not None:
        until = show(machine.token_expires_at)
        return f"{since}; a token waits until {until}: it INSTALLS at its next network boot{tries}"
    if not machine.armed:
        return f"{since}: it boots its disk"
    if machine.tries_left == 0:
        return f"{since}, but no try is left: it boots its disk"
    return f"{since}: it INSTALLS at its next network boot{tries}"


def forgotten(found: Forgotten) -> str:
    """What is or would be forgotten."""
    parts = []
    if found.armed:
        parts.append("that it is armed")
    if found.token is not None:
        parts.append("the boot token that waits for it")
    kept = [f"{count} of {table}" for table, count in found.rows.items() if count]
    return f"{found.name or found.mac}: " + ", ".join(
        [*parts, f"rows in the state: {'; '.join(kept)}"]
    )
