"""The kernel arguments that lead each installer to its rendered file."""

from __future__ import annotations

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
    network = boot.machine.network
    if network is None:
        return ("ip=dhcp",)
    # A name of our own, since nobody knows yet what the kernel will call the card.
    where = f"{network.address.ip}::{network.gateway or ''}:{network.address.netmask}"
    return (
        f"ifname={BOOT_CARD}:{boot.mac}",
        f"ip={where}:{boot.hostname}:{BOOT_CARD}:none",
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
    if (network := boot.machine.network) is not None:
        answers |= {
            "netcfg/disable_autoconfig": "true",
            "netcfg/get_ipaddress": str(network.address.ip),
            "netcfg/get_netmask": str(network.address.netmask),
            "netcfg/get_gateway": str(network.gateway or "none"),
            "netcfg/get_nameservers": " ".join(boot.nameservers),
            "netcfg/confirm_static": "true",
        }
    return tuple(f"{name}={value}" for name, value in answers.items() if value)


BOOT_CARD = "boot0"
_KINDS = {"kickstart": _kickstart, "preseed": _preseed}
