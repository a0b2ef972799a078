"""Kickstarts for Anaconda: RHEL 8, 9, 10 and the systems rebuilt from them."""

from __future__ import annotations

from goosed_daemon import ca_image
from goosed_daemon.render import accounts, agent, anaconda, blivet, kernel, templates
from goosed_daemon.render.context import BootContext
from goosed_daemon.render.quoting import kernel_argument

_ANCHORS = "/etc/pki/ca-trust/source/anchors"  # update-ca-trust(8)


def render(boot: BootContext) -> str:
    """The machine's kickstart. Raises `Unquotable`."""
    return templates.get("kickstart.j2").render(
        boot=boot,
        site=boot.site,
        profile=boot.profile,
        machine=boot.machine,
        network=anaconda.commands(boot),
        system=[*accounts.sudoers(boot.profile.users), *anaconda.script(boot)],
        ports=[port.replace("/", ":") for port in boot.profile.firewall.ports],
        no_weak_dependencies=(
            "--excludeWeakdeps" if boot.profile.release == "rhel8" else "--exclude-weakdeps"
        ),
        agent=agent.shell(boot),
        storage=blivet.commands(
            boot.disk, " ".join(map(kernel_argument, kernel.system_arguments(boot)))
        ),
        # `timesource` came with RHEL 9, and RHEL 10 dropped what it replaced.
        has_timesource=boot.profile.release != "rhel8",
        anchors=_ANCHORS,
        anchor=f"{_ANCHORS}/{ca_image.NAME}.crt",
    )
