"""What WinPE is given: scripts that lay out the disk, apply the image and start the new system.

wimboot puts every file that iPXE fetched into X:\\Windows\\System32, where WinPE runs what
winpeshl.ini names. (Microsoft, "WinPE: Launch an app with winpeshl.ini", "Diskpart", "DISM Image
Management Command-Line Options", "BCDBoot Command-Line Options".)
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from goosed_daemon.render import templates, unattend
from goosed_daemon.render.context import BootContext
from goosed_daemon.render.windows_names import UnknownToWindows

CA = "goose-ca.pem"
DISKPART = "goose-disk.txt"
_OWN = ("boot.wim", "winpeshl.ini", "startnet.cmd", DISKPART, CA, "curl.exe")


def winpeshl(boot: BootContext) -> str:
    """winpeshl.ini: what WinPE runs."""
    return _crlf('[LaunchApps]\n"startnet.cmd"\n')


def startnet(boot: BootContext) -> str:
    """The script of the installation. Raises `Unquotable`."""
    windows = unattend.of(boot)
    return _crlf(
        templates.get("startnet.cmd.j2").render(
            boot=boot,
            windows=windows,
            drivers=[
                (f"{unattend.DRIVERS}\\{number}", [_name(path) for path in driver.files])
                for number, driver in unattend.drivers(boot)
            ],
            answers=f"{boot.base_url}/v1/render/unattend?{urlencode({'token': boot.token or ''})}",
            image=boot.content(f"{boot.profile.repo.rstrip('/')}/{windows.image.path}"),
            firmware="UEFI" if boot.disk.firmware == "uefi" else "BIOS",
            authority=CA if boot.ca is not None else None,
            layout=DISKPART,
        )
    )


def diskpart(boot: BootContext) -> str:
    """The script for diskpart. Raises `Unquotable`."""
    return _crlf(
        templates.get("diskpart.j2").render(
            disk=unattend.disk_number(boot),
            partitions=unattend.partitions(boot),
            style="gpt" if boot.disk.firmware == "uefi" else "mbr",
        )
    )


#: Those that a machine is given by name.
FILES: dict[str, Callable[[BootContext], str]] = {
    "winpeshl.ini": winpeshl,
    "startnet.cmd": startnet,
    DISKPART: diskpart,
}


def ramdisks(boot: BootContext) -> list[tuple[str, str]]:
    """Name in WinPE and URL of each file that wimboot is given, boot.wim last. Raises
    `UnknownToWindows` when two of them would have one name."""
    windows = unattend.of(boot)
    base = boot.boot_url or boot.base_url
    query = urlencode({"token": boot.token or ""})
    found = [(name, f"{base}/v1/boot/windows/{name}?{query}") for name in FILES]
    if boot.ca is not None:
        found.append((CA, f"{base}/v1/boot/ca.crt"))
    if windows.curl is not None:
        found.append(("curl.exe", boot.boot_content(windows.curl)))
    taken = {name.lower() for name in _OWN}
    for _, driver in unattend.drivers(boot):
        for path in driver.files:
            name = _name(path)
            if name.lower() in taken:
                raise UnknownToWindows(f"two files for WinPE are called {name}")
            taken.add(name.lower())
            found.append((name, boot.boot_content(path)))
    seen = f"?by={boot.token_id}" if boot.token_id is not None else ""
    return [*found, ("boot.wim", boot.boot_content(boot.profile.initrd[0]) + seen)]


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _crlf(text: str) -> str:
    """cmd.exe loses its way to labels in files whose lines end otherwise."""
    return text.replace("\n", "\r\n")
