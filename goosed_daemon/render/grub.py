"""GRUB scripts, for machines whose Secure Boot takes shim and GRUB but no iPXE.

The same answers as `ipxe` gives, in GRUB's language. Run under the signed GRUB of a distribution by
tests: its words are quoted like those of a shell; `exit 1` hands back to UEFI. Files are named by
`$goose`, the device that the chain was read from, since a GRUB may have http, or tftp alone.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from goosed_daemon.render import kernel, templates
from goosed_daemon.render.context import BootContext
from goosed_daemon.render.ipxe import ATTEMPTS, PAUSE, ramdisks
from goosed_daemon.render.windows_names import UnknownToWindows


def chain(base_url: str) -> str:
    """The `grub.cfg` that asks the daemon at `base_url` what to do. Raises `Unquotable`."""
    return templates.get("chain.grub.j2").render(
        device=_device(base_url),
        root=urlsplit(base_url).path,
        port=_port(base_url),
        attempts=tuple(range(1, ATTEMPTS + 1)),
        pause=PAUSE,
    )


def install(boot: BootContext) -> str:
    """The script that starts the installer. Raises `Unquotable`."""
    if boot.profile.installer == "unattend":
        raise UnknownToWindows(
            "GRUB cannot start WinPE; Windows is installed through iPXE",
            hint="have the machine boot iPXE, which Secure Boot takes when it is signed",
        )
    return templates.get("install.grub.j2").render(
        boot=boot,
        device=_device(boot.boot_url or boot.base_url),
        arguments=(f"BOOTIF=01-{boot.mac.replace(':', '-')}", *kernel.arguments(boot)),
        kernel=_path(boot.boot_content(boot.profile.kernel)),
        initrds=[(_path(url), urlsplit(url).query) for _, url in ramdisks(boot)],
        expires=boot.expires.strftime("%Y-%m-%d %H:%M:%S %Z") if boot.expires else None,
        attempts=tuple(range(1, ATTEMPTS + 1)),
        pause=PAUSE,
    )


def again(base_url: str, reason: str, attempt: int) -> str:
    """The script that only says why, and ends: the chain asks again, a few times (`chain`)."""
    return templates.get("again.grub.j2").render(reason=reason)


def wait(base_url: str, reason: str, pause: int) -> str:
    """The script that says why not yet, waits `pause` seconds, and has the chain ask again for as
    long as it takes. It asks nothing itself: a script that reads the next one within itself would
    fill GRUB's stack in the end."""
    return templates.get("wait.grub.j2").render(reason=reason, pause=pause)


def local_disk(reason: str, hint: str = "") -> str:
    """The script that boots the disk at once: all is as it should be. Any text may be given."""
    return templates.get("local.grub.j2").render(reason=reason, hint=hint, pause=0)


def refuse(reason: str, hint: str = "") -> str:
    """The script that says why nothing is installed, waits for a reader, and boots the disk."""
    return templates.get("local.grub.j2").render(reason=reason, hint=hint, pause=PAUSE)


def _device(base_url: str) -> str:
    """How GRUB calls the daemon: ``http,HOST`` or ``http,HOST:PORT``."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    port = _port(base_url)
    return f"http,{host}" if port == 80 else f"http,{host}:{port}"


def _port(base_url: str) -> int:
    parts = urlsplit(base_url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _path(url: str) -> str:
    return urlsplit(url).path
