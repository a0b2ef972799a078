"""The kernel arguments that lead each installer to its rendered file."""

from __future__ import annotations

from goosed_daemon.render import network
from goosed_daemon.render.context import BootContext


def arguments(boot: BootContext) -> tuple[str, ...]:
    """All arguments of the installer's kernel but those that only iPXE can fill in.

    What a profile or machine adds comes last, so that it can overrule what is set here.
    """
    if boot.token is None:
        raise ValueError("a boot script needs a boot token")
    own = _KINDS[boot.profile.installer](boot)
    console = (f"console={boot.machine.console}",) if boot.machine.console else ()
    return (*own, *console, *boot.profile.arguments, *boot.machine.arguments)


def system_arguments(boot: BootContext) -> tuple[str, ...]:
    """The kernel arguments of the installed system."""
    console = (f"console={boot.machine.console}",) if boot.machine.console else ()
    return (*console, *boot.profile.system_arguments)


def render_url(boot: BootContext) -> str:
    """Where the installer fetches its file, once."""
    return f"{boot.base_url}/v1/render/{boot.profile.installer}?token={boot.token}"


def _kickstart(boot: BootContext) -> tuple[str, ...]:
    return (
        f"inst.ks={render_url(boot)}",
        f"inst.repo={boot.repo}",
        *_dracut_network(boot),
        # A failed install must boot again and get a new token, not wait in a shell for a person.
        "rd.shell=0",
        "rd.emergency=reboot",
    )


def _dracut_network(boot: BootContext) -> tuple[str, ...]:
    """dracut.cmdline(7): only the card that booted comes up, so that one fetch is made."""
    own = boot.machine.network
    renamed = dict(network.plan(own).renamed) if own is not None else {}
    card = network.of_installer(boot)
    if card.address is not None:
        # A name of our own, since nobody knows yet what the kernel will call the card.
        renamed.setdefault(boot.mac, card.name)
    names = tuple(f"ifname={name}:{mac}" for mac, name in renamed.items())
    if card.address is None:
        return (*names, "ip=dhcp")
    ip, gateway = _bracketed(str(card.address.ip)), _bracketed(str(card.gateway or ""))
    v4 = card.address.version == 4
    mask = card.address.netmask if v4 else card.address.network.prefixlen
    return (
        *names,
        f"ip={ip}::{gateway}:{mask}:{boot.hostname}:{card.name}:none",
        *(f"nameserver={_bracketed(server)}" for server in boot.nameservers),
    )


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _preseed(boot: BootContext) -> tuple[str, ...]:
    """Debian installer guide, B.2: what is asked before the preseed is there comes from here.

    The installer takes no notice of arguments without a value (its env2debconf).
    """
    host, _, domain = boot.hostname.partition(".")
    answers = {
        "auto": "true",
        "priority": "critical",
        "url": render_url(boot),
        "interface": "auto",  # the card that BOOTIF names
        "hostname": host,
        "domain": domain,
        "locale": boot.site.language,
        "keymap": boot.site.keyboard,
    }
    card = network.of_installer(boot)
    if card.address is not None:
        answers |= {
            "netcfg/disable_autoconfig": "true",
            "netcfg/get_ipaddress": str(card.address.ip),
            "netcfg/get_netmask": str(card.address.netmask),
            "netcfg/get_gateway": str(card.gateway or "none"),
            "netcfg/get_nameservers": " ".join(boot.nameservers),
            "netcfg/confirm_static": "true",
        }
    return tuple(f"{name}={value}" for name, value in answers.items() if value)


_KINDS = {"kickstart": _kickstart, "preseed": _preseed}
