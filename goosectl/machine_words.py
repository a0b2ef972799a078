"""Machines in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from goosectl import output, sizes
from goosectl.operator import show

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from goosed_daemon.admin.models import Agent, Event, Forgotten, MachineDetail

#: Outcomes that `standing` tells of already.
_TOLD = ("install", "machine-not-armed", "tries-exhausted")


def verb(outcome: str) -> str:
    """What a machine would do, after ``would``."""
    if outcome == "machine-waits":
        return "wait for its turn to INSTALL"
    return "INSTALL" if outcome == "install" else "boot its disk"


def lines(machine: MachineDetail) -> list[str]:
    """All that is known of a machine."""
    found = [f"{machine.name or 'no profile'}  {machine.mac}", standing(machine)]
    if machine.outcome == "machine-waits":
        found.append(f"but not yet: {machine.why}")
    elif machine.outcome not in _TOLD:
        found += [f"but not as things are: {machine.why}", f"hint: {machine.hint}"]
    if (token := machine.last_token) is not None:
        used = f" at {show(token.used_at)} by {token.used_by}" if token.used_at else ""
        found.append(f"last boot token: issued {show(token.issued_at)}, {token.state}{used}")
    if machine.agent_detail is not None:
        found.append(agent(machine.agent_detail))
    return [*found, *events(machine.events)]


def events(happened: Iterable[Event]) -> Iterator[str]:
    """What happened, a line each."""
    for event in happened:
        more = f"  {output.pairs(event.detail)}" if event.detail else ""
        yield f"{show(event.at)}  {event.kind}  by {event.actor}{more}"


def rows(happened: Iterable[Event]) -> list[dict[str, object]]:
    """What happened, for scripts."""
    return [
        {
            "at": show(event.at),
            "event": event.kind,
            "by": event.actor,
            "token": event.token,
            **event.detail,
        }
        for event in happened
    ]


def agent(found: Agent) -> str:
    """How an agent is, in one line."""
    may = f"an agent may enrol until {show(found.may_enrol_until)}" if found.may_enrol_until else ""
    if found.enrolled_at is None:
        return may or "no agent ever enrolled"
    seen = f"seen {show(found.seen_at)}" if found.seen_at else "never heard of"
    if found.ended_at is not None:
        told = f"cut off at {show(found.ended_at)}: {found.state}"
    elif found.state == "expired":
        told = f"its token expired at {show(found.expires_at)}"
    else:
        told = f"its token lasts until {show(found.expires_at)}"
    return f"agent: {seen}, {told}" + (f"; {may}" if may else "")


def standing(machine: MachineDetail) -> str:
    """Whether it may install itself, by its arming and its token."""
    since, tries = "never armed", ""
    if machine.state is not None:
        since = f"{machine.state} since {show(machine.changed_at)}, by {machine.changed_by}"
        left = sizes.amount(machine.tries_left or 0, "try", "tries")
        tries = f" ({left} left)" if machine.armed else ""
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
