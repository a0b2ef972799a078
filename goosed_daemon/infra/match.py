"""Which machine is asking? By MAC address first, then by UUID, then by serial number."""

from __future__ import annotations

from dataclasses import dataclass

from goosed_daemon.infra.known import Infra
from goosed_daemon.infra.models import Machine

_WORDS = {"mac": "MAC", "uuid": "UUID", "serial": "serial number"}


@dataclass(frozen=True, slots=True)
class Match:
    """The machine that is asking, and what it was recognised by."""

    machine: Machine
    by: str  # mac, uuid or serial


@dataclass(frozen=True, slots=True)
class NoMatch:
    """Nothing fits, or what fits contradicts itself; `reason` says so in words."""

    reason: str
    machine: Machine | None = None  # that it seemed to be, when identities contradict


def match(
    infra: Infra, *, mac: str, uuid: str | None = None, serial: str | None = None
) -> Match | NoMatch:
    """The machine with these identities, `mac` as `mac.normalise` spells it.

    A profile that names a UUID or serial number is fulfilled only by that one: a network card that
    moved to another machine must not bring that machine's reinstallation with it.
    """
    uuid, serial = (uuid or "").lower(), serial or ""
    if set(uuid) - {"-"} in ({"0"}, {"f"}):
        uuid = ""  # SMBIOS 3.7, section 7.2.1: all ones is not present, all zeros is not set
    candidates = (
        ("mac", infra.machine_by_mac(mac)),
        ("uuid", infra.machine_by_uuid(uuid)),
        ("serial", infra.machine_by_serial(serial)),
    )
    found = [(by, machine) for by, machine in candidates if machine is not None]
    if not found:
        known = [f"MAC {mac}", *([f"UUID {uuid}"] if uuid else [])]
        known += [f"serial number {serial}"] if serial else []
        return NoMatch(f"no machine has {' or '.join(known)}")
    by, machine = found[0]
    for other_by, other in found[1:]:
        if other is not machine:
            return NoMatch(
                f"the {_WORDS[by]} is that of machine {machine.name},"
                f" but the {_WORDS[other_by]} that of machine {other.name}",
                machine,
            )
    for what, expected, said in (
        ("UUID", machine.uuid, uuid),
        ("serial number", machine.serial, serial),
    ):
        if expected is not None and said and expected != said:
            return NoMatch(
                f"machine {machine.name} is known by its {_WORDS[by]}, but has {what} {said}"
                f" where its profile says {expected}",
                machine,
            )
    return Match(machine, by)
