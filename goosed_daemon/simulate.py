"""What a machine would get if it asked now, and why: without a token issued or used, and without
anything written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bundles.errors import GooseError
from bundles.site.catalog import Catalog
from goosed_daemon import boot, places
from goosed_daemon.errors import DaemonError, MachineNotArmed, MachineWaits
from goosed_daemon.infra import Infra, secrets
from goosed_daemon.infra.models import Machine, OSProfile
from goosed_daemon.infra.validate import rendered
from goosed_daemon.places import Places
from goosed_daemon.render import ipxe
from goosed_daemon.settings import Settings
from goosed_daemon.tokens import Tokens

INSTALL = "install"
SECRET = "not-a-token"  # noqa: S105 - stands in the rendered file where a secret would


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that the script has the machine fetch."""

    path: str
    digest: str
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Simulation:
    """The answer that a machine would get."""

    mac: str  # as it asked
    machine: Machine | None
    outcome: str  # `install`, or the code of the refusal
    why: str  # in words
    hint: str | None  # what to do about it
    script: str
    rendered: str | None
    artifacts: tuple[Artifact, ...]


def simulate(
    infra: Infra | DaemonError,
    catalog: Catalog,
    tokens: Tokens,
    queue: Places,
    now: datetime,
    base_url: str,
    settings: Settings,
    mac: str,
    uuid: str | None = None,
    serial: str | None = None,
) -> Simulation:
    """The answer to a machine with these identities (`mac` normalised), in the order in which the
    daemon asks: are there profiles, which machine, is its content here, may it install, and is it
    its turn. Raises `StateError` or `StoreError`."""
    machine: Machine | None = None
    try:
        if isinstance(infra, DaemonError):
            raise infra
        machine = boot.recognise(infra, mac, uuid, serial)
        profile = infra.profile_of(machine)
        boot.check_content(catalog, profile)
        offer = tokens.sample(machine.mac[0], now)
        agent = boot.agent_context(settings, base_url, SECRET)
        context = boot.context(
            infra,
            catalog,
            machine,
            base_url,
            offer,
            SECRET,
            agent,
            boot_url=settings.boot_base(base_url),
            ca=settings.authority(),
            api_url=settings.api_url,
        )
        secrets.resolved(context, secrets.Secrets.of(settings))  # as the daemon would, to see if
        script, text = ipxe.install(context), rendered(secrets.hidden(context))
        why = _permission(tokens, machine.mac[0], now)
        queue.foresee(machine.mac[0], profile.name, now)
    except MachineWaits as wait:
        script = ipxe.wait(settings.boot_base(base_url), wait.message, places.PAUSE)
        return Simulation(mac, machine, wait.code, wait.message, wait.hint, script, None, ())
    except GooseError as error:
        words = ipxe.local_disk if isinstance(error, MachineNotArmed) else ipxe.refuse
        script = words(error.message, error.hint)
        return Simulation(mac, machine, error.code, error.message, error.hint, script, None, ())
    found = _artifacts(catalog, profile)
    return Simulation(mac, machine, INSTALL, why, None, script, text, found)


def _permission(tokens: Tokens, mac: str, now: datetime) -> str:
    """Why a token would be given. Raises what `Tokens.offer` raises."""
    left, waiting = tokens.foresee(mac, now)
    if waiting is not None:
        return f"a boot token waits for it until {waiting.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"it is armed, and {'1 try is' if left == 1 else f'{left} tries are'} left"


def _artifacts(catalog: Catalog, profile: OSProfile) -> tuple[Artifact, ...]:
    files = [catalog.find(profile.bundle, None, path) for path in boot.boot_files(profile)]
    return tuple(Artifact(file.path, file.digest, file.size) for file in files if file is not None)
