"""Answer files for Windows, `unattend.xml` (Microsoft, "Unattended Windows Setup Reference").

The scripts of WinPE (render/winpe.py) lay out the disk and apply the image themselves; DISM reads
`offlineServicing` of this file, and the new system `specialize` and `oobeSystem`. `windowsPE` says
the same as those scripts, for who runs Windows Setup with it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from ipaddress import ip_network

from goosed_daemon.infra.models import Driver, Route, Windows, disk_contradiction
from goosed_daemon.infra.models.addressing import Addressing
from goosed_daemon.infra.secret_text import SecretText
from goosed_daemon.render import agent, templates, windows_names
from goosed_daemon.render.context import BootContext
from goosed_daemon.render.windows_names import UnknownToWindows

ESP_MIB = 300
MSR_MIB = 16
SYSTEM_MIB = 500  # of a BIOS machine: boot manager and BCD
DRIVERS = r"X:\goose\drivers"  # where WinPE's scripts put them
_KEY = re.compile(r"[A-Z0-9]{5}(?:-[A-Z0-9]{5}){4}")


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition to create, in order. Without `mib` it takes what is left."""

    kind: str  # EFI, MSR or Primary
    mib: int | None
    label: str = ""
    format: str = ""
    letter: str = ""
    active: bool = False


UEFI = (
    Partition("EFI", ESP_MIB, "System", "FAT32", "S"),
    Partition("MSR", MSR_MIB),
    Partition("Primary", None, "Windows", "NTFS", "W"),
)
BIOS = (
    Partition("Primary", SYSTEM_MIB, "System", "NTFS", "S", active=True),
    Partition("Primary", None, "Windows", "NTFS", "W"),
)


def render(boot: BootContext) -> str:
    """The machine's answer file. Raises `Unquotable`."""
    windows, interfaces = of(boot), _interfaces(boot)
    return templates.get("unattend.j2").render(
        boot=boot,
        windows=windows,
        disk=disk_number(boot),
        partitions=partitions(boot),
        installed_to=len(partitions(boot)),
        language=windows_names.language(boot.site.language),
        keyboard=windows_names.keyboard(boot.site.keyboard),
        computer=windows_names.computer(boot.hostname),
        domain=boot.hostname.partition(".")[2],
        zone=windows_names.time_zone(boot.site.timezone),
        key=_key(windows),
        drivers=[f"{DRIVERS}\\{number}" for number, _ in drivers(boot)],
        interfaces=interfaces,
        servers=boot.nameservers if any(one.own.is_static for one in interfaces) else (),
        search=boot.machine.network.search if boot.machine.network is not None else (),
        report=boot.callback or "",
        # A mark of UTF-8 in front, without which Windows PowerShell 5.1 reads the old code page.
        script=b64encode(b"\xef\xbb\xbf" + script(boot).encode()).decode(),
    )


def of(boot: BootContext) -> Windows:
    """What the profile says of Windows; its model has seen to it that it does."""
    if boot.profile.windows is None:
        raise UnknownToWindows(f"OSProfile {boot.profile.name} does not install Windows")
    return boot.profile.windows


def partitions(boot: BootContext) -> tuple[Partition, ...]:
    """The partitions of the machine's disk, in order; the last is that of Windows."""
    return UEFI if boot.disk.firmware == "uefi" else BIOS


def disk_number(boot: BootContext) -> int:
    """The disk that is erased, by Windows' number. Raises `UnknownToWindows` where a machine's own
    disk means nothing to Windows."""
    if wrong := disk_contradiction(boot.disk):
        raise UnknownToWindows(wrong)
    if boot.disk.firmware == "bios" and boot.profile.release == "win11":
        raise UnknownToWindows("Windows 11 needs firmware: uefi")
    return int(boot.disk.device)


def drivers(boot: BootContext) -> list[tuple[int, Driver]]:
    """The drivers of this machine, with their numbers in the profile."""
    return [
        (number, driver)
        for number, driver in enumerate(of(boot).drivers)
        if driver.machines.selects(boot.machine.labels)
    ]


def script(boot: BootContext) -> str:
    """What runs in the new system at the end of its setup, in PowerShell, as SYSTEM."""
    return templates.get("complete.ps1.j2").render(
        boot=boot,
        site=boot.site,
        profile=boot.profile,
        machine=boot.machine,
        agent=agent.powershell(boot),
    )


def _key(windows: Windows) -> object:
    key: object = windows.product_key
    if isinstance(key, SecretText) and not _KEY.fullmatch(key):
        raise UnknownToWindows("productKey is no product key: five times five letters and digits")
    return key


@dataclass(frozen=True, slots=True)
class _Interface:
    mac: str  # as Windows spells it
    own: Addressing
    routes: tuple[Route, ...]


def _interfaces(boot: BootContext) -> list[_Interface]:
    """Those with something to set; the others ask DHCP, as Windows does by itself."""
    network = boot.machine.network
    if network is None:
        return []
    if network.bonds or network.vlans:
        raise UnknownToWindows("bonds and vlans cannot be set up in an answer file of Windows")
    found = []
    for card in network.ethernets or (network,):
        mac = getattr(card, "mac", None) if network.ethernets else boot.mac
        if mac is None:
            raise UnknownToWindows("Windows is told of network cards by mac, not by name")
        for name in ("mtu", "ipv4", "ipv6"):
            if getattr(card, name) not in (None, "dhcp", "auto"):
                raise UnknownToWindows(f"{name} of {mac} cannot be set in an answer file")
        routes = list(card.routes)
        for to, via in (("0.0.0.0/0", card.gateway), ("::/0", card.gateway6)):
            if via is not None:
                routes.append(Route.model_construct(to=ip_network(to), via=via, metric=None))
        if card.is_static or routes:
            found.append(_Interface(mac.upper().replace(":", "-"), card, tuple(routes)))
    return found
