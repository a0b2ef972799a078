"""Which machine is meant by a name, or by a MAC in any spelling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bundles.errors import UsageError
from bundles.files.document import InvalidDocument
from goosed_daemon.boot import stopped
from goosed_daemon.errors import MachineUnknown
from goosed_daemon.infra import Infra, mac

Profiles = Callable[[], Infra | None]  # raises InvalidDocument; None where there are none

_SOME = "some infra profiles have errors and stop their machines (see `goosectl infra validate`)"
BY_MAC = "the MAC is taken as it is; a machine of several goes by its first"


@dataclass(frozen=True, slots=True)
class Named:
    """The MAC under which the state knows a machine, and its name if a profile names it."""

    mac: str
    name: str | None
    remarks: tuple[str, ...] = ()


def resolve(profiles: Profiles, given: str, *, needs_profiles: bool = True) -> Named:
    """The machine that is `given`.

    Without `needs_profiles` a MAC is taken as it is when the profiles have errors: what stops an
    install must work then too. Raises `UsageError`, `MachineUnknown`, `ProfileInvalid` (for a
    machine that a mistake stops) or `InvalidDocument`.
    """
    remarks: tuple[str, ...] = ()
    if needs_profiles or not _is_mac(given):
        found = profiles()
    else:
        found, remarks = if_good(profiles, BY_MAC)
    if found is not None and (stop := found.stop(name=given)) is not None:
        if needs_profiles or stop.mac is None:
            raise stopped(stop)
        return Named(stop.mac, stop.name, remarks)
    named = found.machine(given) if found is not None else None
    if named is not None:
        return Named(named.mac[0], named.name, remarks)
    try:
        address = mac.normalise(given)
    except mac.BadMac as error:
        if ":" in given or not found:
            raise UsageError(error.message, hint=error.hint) from error
        raise MachineUnknown(
            f"no Machine document has the name {given!r}", hint=_near(found, given)
        ) from error
    if found is not None and (stop := found.stop(mac=address)) is not None:
        if needs_profiles:
            raise stopped(stop)
        return Named(stop.mac or address, stop.name, remarks)
    machine = found.machine_by_mac(address) if found is not None else None
    if machine is not None:
        return Named(machine.mac[0], machine.name, remarks)
    return Named(address, None, remarks)


def if_good(profiles: Profiles, otherwise: str) -> tuple[Infra | None, tuple[str, ...]]:
    """The profiles; None, and a remark on what is done `otherwise`, when they have errors."""
    try:
        found = profiles()
        wrong = found is not None and found.error is not None
        return found, (_SOME,) if wrong else ()
    except InvalidDocument:
        return None, (
            f"the infra profiles have errors (see `goosectl infra validate`): {otherwise}",
        )


def _is_mac(text: str) -> bool:
    try:
        mac.normalise(text)
    except mac.BadMac:
        return False
    return True


def _near(found: Infra, name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, found.machines, 1, 0.6)
    return f"did you mean {near[0]}?" if near else "see `goosectl infra list`"
