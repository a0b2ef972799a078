"""Does the target release itself accept what is rendered for a machine?

Kickstarts are read by pykickstart, the parser that Anaconda uses, with the commands of the very
release. Preseeds are read by `debconf-set-selections --checkonly` where debconf is installed, and
by a checker of our own that knows the form of the lines. Answer files for Windows are read by
`windows_settings`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from bundles.errors import GooseError
from bundles.files.document import InvalidDocument
from goosed_daemon.errors import SecretExposed, SecretMissing, SecretUnreadable
from goosed_daemon.infra import windows_settings
from goosed_daemon.infra.known import Infra
from goosed_daemon.infra.models import Machine, OSProfile
from goosed_daemon.infra.secret_check import unreadable
from goosed_daemon.infra.secrets import Secrets, any_reference, hidden, resolved
from goosed_daemon.infra.shape import shape
from goosed_daemon.render import grub, ipxe, kickstart, preseed, unattend
from goosed_daemon.render.context import BootContext
from goosed_daemon.render.quoting import Unquotable

PLACEHOLDER = "placeholder"  # for what only a running daemon knows
_DEBCONF_PATH = "/usr/bin:/usr/local/bin:/bin"
_TOKEN = "x" * 64  # as long as a token may be, since kernel arguments have a limit
_TYPES = "string|boolean|select|multiselect|note|password|text|title|error"
_PRESEED_LINE = re.compile(rf"\S+ [a-zA-Z0-9/._+-]+ (?:{_TYPES})(?: .*)?")


# pykickstart warns as if a second one replaced the first. But Anaconda adds each key to the user's
# (pyanaconda/core/users.py, set_user_ssh_key), a VLAN names the device that carries it, and each
# disk of a mirror has a place for the BIOS's boot loader.
_NOT_TWICE = (
    "An ssh user with the name ",
    "A network device with the name ",
    "A partition with the mountpoint biosboot ",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the target release would refuse in a machine's rendered file."""

    machine: str
    profile: str
    release: str
    line: int | None  # of the rendered file, from 1
    message: str

    def __str__(self) -> str:
        where = f", line {self.line} of what is rendered" if self.line else ""
        return f"machine {self.machine} ({self.profile}, {self.release}{where}): {self.message}"


class RefusedByRelease(GooseError):
    """What is rendered from valid profiles is not valid for the release to be installed."""

    code = "refused-by-release"
    default_hint = "`goosectl infra render MACHINE` shows the file that the lines are of"


def placeholder(infra: Infra, machine: Machine) -> BootContext:
    """What `machine` is rendered from when nobody is booting."""
    profile = infra.profile_of(machine)
    base = infra.site.url or f"http://{PLACEHOLDER}"
    artifacts = f"{base}/v1/artifacts/{profile.bundle}"
    return BootContext(infra.site_of(machine), profile, machine, base, artifacts, "current", _TOKEN)


def rendered(boot: BootContext) -> str:
    """The file that the machine's installer fetches. Raises `Unquotable`."""
    return _RENDERERS[boot.profile.installer](boot)


def validate(
    infra: Infra, secrets: Secrets | None = None, done: Callable[[int], None] = lambda count: None
) -> Iterator[Finding]:
    """Renders every machine and yields what its release would refuse. `done` is told of every
    machine.

    Machines whose files have the same shape are judged once. With `secrets` those that are given by
    reference are read, so that one that would fail a render is found; none is judged by a parser,
    whose words might have it.
    """
    clean: set[tuple[str, str]] = set()  # release and shape
    for machine in infra.machines.values():
        boot = placeholder(infra, machine)
        profile = boot.profile
        for line, message in _judged(boot, secrets, clean):
            yield Finding(machine.name, profile.name, profile.release, line, message)
        done(1)


def _judged(
    boot: BootContext, secrets: Secrets | None, clean: set[tuple[str, str]]
) -> list[tuple[int | None, str]]:
    try:
        ipxe.install(boot)
        if boot.profile.installer != "unattend":  # which GRUB cannot start
            grub.install(boot)
        if secrets is not None and any_reference(boot):
            rendered(resolved(boot, secrets))
        text = rendered(hidden(boot))
    except (Unquotable, SecretMissing, SecretExposed, SecretUnreadable) as error:
        return [(None, error.message)]
    key = boot.profile.release, shape(boot, text)
    if key in clean:
        return []
    found = check(boot.profile, text)
    if not found:
        clean.add(key)
    return found


def require_accepted(
    infra: Infra, secrets: Secrets | None = None, done: Callable[[int], None] = lambda count: None
) -> None:
    """Raises `InvalidDocument` with every secret of `secrets` that cannot be had, and
    `RefusedByRelease` with all findings of `validate`."""
    if secrets is not None and (problems := unreadable(infra, secrets)):
        raise InvalidDocument(problems)
    if findings := list(validate(infra, secrets, done)):
        raise RefusedByRelease(
            "\n".join(map(str, findings)), findings=[asdict(finding) for finding in findings]
        )


def check(profile: OSProfile, text: str) -> list[tuple[int | None, str]]:
    """What the profile's release would refuse in a rendered file: line (from 1) and words."""
    if profile.installer == "kickstart":
        return check_kickstart(profile.release, text)
    if profile.installer == "unattend":
        return windows_settings.check(text)
    return check_preseed(text)


def check_kickstart(release: str, text: str) -> list[tuple[int | None, str]]:
    """Errors and deprecations, by the handler of `release` (rhel8, rhel9, rhel10)."""
    from pykickstart.errors import KickstartError, KickstartParseWarning
    from pykickstart.parser import KickstartParser
    from pykickstart.version import makeVersion

    found: list[tuple[int | None, str]] = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            KickstartParser(makeVersion(release.upper())).readKickstartFromString(text)
        except KickstartError as error:
            found.append((error.lineno or None, str(error.message or error).strip()))
        except ValueError as error:  # of shlex, which pykickstart lets pass
            found.append((None, f"not a kickstart: {error}"))
    found += [
        (None, " ".join(str(one.message).split()))
        for one in said
        if issubclass(one.category, KickstartParseWarning)
        and not str(one.message).startswith(_NOT_TWICE)
    ]
    return found


@cache
def debconf() -> str | None:
    """The path of debconf's own checker, if it is installed."""
    return shutil.which("debconf-set-selections", path=_DEBCONF_PATH)


def check_preseed(text: str) -> list[tuple[int | None, str]]:
    """Malformed lines, by our own checker and then by debconf's if it is installed."""
    found = list(_check_lines(text))
    checker = debconf()
    if checker is not None and not found:
        with TemporaryDirectory() as folder:
            # Of the system's own database debconf would demand the lock, even to check a form.
            config = Path(folder, "debconf.conf")
            config.write_text(
                "Config: configdb\nTemplates: templatedb\n\n"
                f"Name: configdb\nDriver: File\nFilename: {folder}/config.dat\n\n"
                f"Name: templatedb\nDriver: File\nFilename: {folder}/templates.dat\n"
            )
            done = subprocess.run(
                [checker, "--checkonly"],
                input=text,
                env={"DEBCONF_SYSTEMRC": str(config), "PATH": _DEBCONF_PATH},
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode or done.stderr.strip():
            found.append((None, done.stderr.strip() or "debconf refuses it"))
    return found


def _check_lines(text: str) -> Iterator[tuple[int | None, str]]:
    continued = False
    for number, line in enumerate(text.splitlines(), 1):
        blank = continued or not line.strip() or line.startswith("#")
        if not (blank or _PRESEED_LINE.fullmatch(line)):
            yield number, f"{line[:60]!r} is not: owner, question, type, value"
        continued = line.endswith("\\")


_RENDERERS = {"kickstart": kickstart.render, "preseed": preseed.render, "unattend": unattend.render}
