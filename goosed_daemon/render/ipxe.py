"""iPXE scripts. Each ends in an installer or in the machine's own disk, and says which and why.

Taken from the sources of iPXE, and run under its real firmware by tests: a script ends at the first
command that fails without ``||``; there is no quoting; ``exit 1`` hands back to UEFI, which goes on
to the next boot entry, where ``exit 0`` would leave some firmware in its setup.
"""

from __future__ import annotations

from goosed_daemon.render import kernel, templates, unattend, winpe
from goosed_daemon.render.context import BootContext

ATTEMPTS = 3  # of every fetch, before the machine is left to its disk
PAUSE = 10  # seconds between attempts


def chain(base_url: str) -> str:
    """The script that asks the daemon at `base_url` what to do, with all that iPXE knows."""
    return templates.get("chain.ipxe.j2").render(base_url=base_url, attempts=ATTEMPTS, pause=PAUSE)


def install(boot: BootContext) -> str:
    """The script that starts the installer. Raises `Unquotable`."""
    if boot.profile.installer == "unattend":
        return _wimboot(boot)
    return templates.get("install.ipxe.j2").render(
        boot=boot,
        arguments=kernel.arguments(boot),
        kernel=boot.boot_content(boot.profile.kernel),
        initrds=ramdisks(boot),
        expires=_expiry(boot),
        attempts=ATTEMPTS,
        pause=PAUSE,
    )


def _wimboot(boot: BootContext) -> str:
    """WinPE, which wimboot starts from what iPXE has fetched."""
    unattend.disk_number(boot)  # which raises before anything is fetched
    return templates.get("wimboot.ipxe.j2").render(
        boot=boot,
        platform="efi" if boot.disk.firmware == "uefi" else "pcbios",
        kernel=boot.boot_content(boot.profile.kernel),
        initrds=winpe.ramdisks(boot),
        expires=_expiry(boot),
        attempts=ATTEMPTS,
        pause=PAUSE,
    )


def _expiry(boot: BootContext) -> str | None:
    return boot.expires.strftime("%Y-%m-%d %H:%M:%S %Z") if boot.expires else None


def ramdisks(boot: BootContext) -> list[tuple[str, str]]:
    """Name and URL of each ramdisk. The kernel unpacks them one over the other: the site's
    authority comes last. The last that comes out of the bundle says by which token it is fetched,
    so that the machine's workflow sees that."""
    found = [
        (f"initrd{n}.img", boot.boot_content(path)) for n, path in enumerate(boot.profile.initrd)
    ]
    if boot.token_id is not None:
        name, url = found[-1]
        found[-1] = (name, f"{url}?by={boot.token_id}")
    if boot.ca_image is not None:
        found.append(("goose-ca.img", boot.ca_image))
    return found


def again(base_url: str, reason: str, attempt: int) -> str:
    """The script that waits a little and asks once more, as the `attempt`-th time: what is behind
    the daemon fails now, and may not in a moment. Without an answer it boots the disk."""
    return templates.get("again.ipxe.j2").render(
        base_url=base_url, reason=reason, attempt=attempt, attempts=ATTEMPTS, pause=PAUSE
    )


def wait(base_url: str, reason: str, pause: int) -> str:
    """The script that says why not yet, and asks again every `pause` seconds for as long as it
    takes: it is not its turn, and the disk is of no use to a machine that is to be installed."""
    return templates.get("wait.ipxe.j2").render(base_url=base_url, reason=reason, pause=pause)


def local_disk(reason: str, hint: str = "") -> str:
    """The script that boots the disk at once: all is as it should be. Any text may be given."""
    return templates.get("local.ipxe.j2").render(reason=reason, hint=hint, pause=0)


def refuse(reason: str, hint: str = "") -> str:
    """The script that says why nothing is installed, waits for a reader, and boots the disk."""
    return templates.get("local.ipxe.j2").render(reason=reason, hint=hint, pause=PAUSE)
