"""`Infra`: all that a site's profiles say, consistent, inherited and indexed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bundles.files.document import Document, InvalidDocument
from goosed_daemon.infra.isolate import Stop
from goosed_daemon.infra.models import OF_SITE, Group, Machine, OSProfile, Site


@dataclass(frozen=True, slots=True)
class Place:
    """Where a profile was written."""

    document: Document

    def __str__(self) -> str:
        line, _ = self.document.position(("name",))
        return f"{self.document.source}:{line}"


@dataclass(frozen=True, slots=True)
class Infra:
    """All profiles of a site, consistent with each other. Look-ups take constant time.

    Machines are whole: what their groups say is in them.
    """

    site: Site
    profiles: Mapping[str, OSProfile]
    machines: Mapping[str, Machine]
    places: Mapping[tuple[str, str], Place]  # by kind and name
    _by_mac: Mapping[str, Machine]
    _by_uuid: Mapping[str, Machine]
    _by_serial: Mapping[str, Machine]
    groups: Mapping[str, Group] = field(default_factory=dict)
    # By machine; the profiles of those that add to theirs.
    _groups_of: Mapping[str, tuple[Group, ...]] = field(default_factory=dict)
    _profile_of: Mapping[str, OSProfile] = field(default_factory=dict)

    # Machines that a mistake stops, by what they are known by (see `isolate.stopped`), and all
    # mistakes there are; every other machine is as its documents say now.
    _stopped: Mapping[tuple[str, str], Stop] = field(default_factory=dict)
    error: InvalidDocument | None = None

    def stop(self, **known: str | None) -> Stop | None:
        """What stops the machine with this `mac`, `uuid`, `serial` or `name`, if anything does."""
        for by, value in known.items():
            if value and (found := self._stopped.get((by, value))) is not None:
                return found
        return None

    def profile(self, name: str) -> OSProfile:
        """The profile `name`, without what machines add to it. Raises KeyError."""
        return self.profiles[name]

    def profile_of(self, machine: Machine) -> OSProfile:
        """The profile that `machine` is installed with, with what it and its groups add."""
        return self._profile_of.get(machine.name) or self.profile(machine.profile)

    def site_of(self, machine: Machine) -> Site:
        """The site as it is for `machine`: with what it and its groups say instead."""
        given = {_SITE_FIELDS[name]: getattr(machine, _SITE_FIELDS[name]) for name in OF_SITE}
        changes = {name: value for name, value in given.items() if value is not None}
        changes["ssh_keys"] = tuple(dict.fromkeys(self.site.ssh_keys + machine.ssh_keys))
        return self.site.model_copy(update=changes)

    def groups_of(self, machine: Machine) -> tuple[Group, ...]:
        """The groups that select `machine`, the one that overrules the others last."""
        return self._groups_of.get(machine.name, ())

    def machine(self, name: str) -> Machine | None:
        """The machine `name`."""
        return self.machines.get(name)

    def machine_by_mac(self, mac: str) -> Machine | None:
        """The machine with this MAC, in the spelling of `mac.normalise`."""
        return self._by_mac.get(mac)

    def machine_by_uuid(self, uuid: str) -> Machine | None:
        """The machine with this UUID, in lower case."""
        return self._by_uuid.get(uuid)

    def machine_by_serial(self, serial: str) -> Machine | None:
        """The machine with this serial number."""
        return self._by_serial.get(serial)


_SITE_FIELDS = {
    field.alias or name: name for name, field in Site.model_fields.items()
}  # YAML's name -> the attribute
