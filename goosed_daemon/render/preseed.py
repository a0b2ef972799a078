"""Preseeds for the Debian installer."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import urlsplit

from goosed_daemon.render import accounts, agent, kernel, network, networkd, partman, templates
from goosed_daemon.render.context import BootContext
from goosed_daemon.render.quoting import kernel_argument, shell

SUITES = {"debian12": "bookworm", "debian13": "trixie"}
_SCRIPT = "/root/goose-late"


def render(boot: BootContext) -> str:
    """The machine's preseed. Raises `Unquotable`."""
    repo = urlsplit(boot.repo)
    host, _, domain = boot.hostname.partition(".")
    lines = script(boot).splitlines()
    packages = list(boot.profile.packages)
    if boot.site.ssh_keys or any(user.ssh_keys for user in boot.profile.users):
        packages.append("openssh-server")  # part of every RHEL, of no Debian
    if any(user.sudo for user in boot.profile.users):
        packages.append("sudo")
    if boot.agent is not None:
        packages.append("curl")
    return templates.get("preseed.j2").render(
        boot=boot,
        site=boot.site,
        profile=boot.profile,
        host=host,
        networkd=network.needs_files(boot.machine.network),
        domain=domain,
        storage=list(partman.answers(boot.disk)),
        disks=" ".join(f"/dev/{device}" for device in boot.disk.devices),
        partman_command=_disks_command(boot),
        scheme=repo.scheme,
        mirror=repo.netloc,
        directory=repo.path,
        suite=SUITES[boot.profile.release],
        packages=" ".join(dict.fromkeys(packages)),
        system_arguments=" ".join(map(kernel_argument, kernel.system_arguments(boot))),
        script=lines,
        early_command=_report(boot, "started"),
        late_command=" && ".join(
            filter(
                None,
                [
                    _report(boot, "configuring"),
                    _or_failed(boot, _late_command([*lines, *agent.shell(boot).splitlines()])),
                    _report(boot, "installed"),
                ],
            )
        ),
    )


def script(boot: BootContext) -> str:
    """What runs in the new system at the end, as a POSIX shell script; empty for nothing."""
    return templates.get("late.sh.j2").render(
        site=boot.site,
        profile=boot.profile,
        machine=boot.machine,
        root_keys=accounts.keys("/root", "root", boot.site.ssh_keys),
        users=accounts.debian(boot.profile.users),
        system=[
            *accounts.services(boot.profile.services),
            *partman.script(boot.disk),
            *networkd.script(boot),
        ],
    )


def _disks_command(boot: BootContext) -> str:
    """What runs before the disks are touched: the daemon is told, and they get their names."""
    return "; ".join(filter(None, [_report(boot, "disks"), partman.resolve(boot.disk)]))


def _report(boot: BootContext, step: str) -> str:
    """Tells the daemon by the installer's own wget, which is GNU's; a failure stops nothing."""
    url = boot.report(step)
    if not url:
        return ""
    return f"{{ wget -q -T 20 -t 3 -O /dev/null --post-data= {shell(url)} || :; }}"


def _or_failed(boot: BootContext, command: str) -> str:
    """The installer itself tells nobody when its last step fails."""
    failed = _report(boot, "failed")
    return f"{{ {command} || {{ {failed}; false; }}; }}" if command and failed else command


def _late_command(lines: list[str]) -> str:
    """`lines` as one line that no value can break: debconf, its protocol and two shells read it
    before the new system does, so it travels in base64."""
    if not lines:
        return ""
    encoded = b64encode("\n".join(["set -eu", *lines, ""]).encode()).decode()
    # Root's alone while it lies there, and read whole before it runs, so that its own commands keep
    # their standard input and the usual umask.
    return (
        f"(umask 077; echo {encoded} >/target{_SCRIPT})"
        f" && in-target sh -c 's=$(base64 -d {_SCRIPT}) && sh -c \"$s\"'"
        f" && rm /target{_SCRIPT}"
    )
