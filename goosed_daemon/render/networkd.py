"""Files of systemd-networkd: the network of an installed Debian, where its installer has no words.

(systemd.network(5), systemd.netdev(5), systemd.link(5).) Debian's own ifupdown would need further
packages for bonds and VLANs, which a mirror may lack; networkd is part of every Debian.
"""

from __future__ import annotations

from collections.abc import Iterator

from goosed_daemon.infra.models import Addressing, Bond, Network
from goosed_daemon.render.context import BootContext
from goosed_daemon.render.network import BOOT_MAC, Link, Plan, needs_files, plan
from goosed_daemon.render.quoting import Quoted, shell

FOLDER = "/etc/systemd/network"
_BOOT = "$boot"  # stands for the MAC address that the script finds out


def files(network: Network, nameservers: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Name and lines of each file. That of a machine with but the booting card matches `$boot`."""
    made = plan(network)
    for mac, name in made.renamed.items():
        yield f"10-goose-{name}.link", ["[Match]", f"MACAddress={mac}", "[Link]", f"Name={name}"]
    for name, bond in made.master.items():
        primary = bond.primary is not None and made.renamed.get(bond.primary, bond.primary) == name
        lines = ["[Match]", f"Name={name}", "[Network]", f"Bond={bond.name}"]
        yield f"30-goose-{name}.network", [*lines, *(["PrimarySlave=yes"] if primary else [])]
    for link in made.links or (Link("ethernet", None, _BOOT, network),):
        stem = link.name or (link.mac or "").replace(":", "") or "boot"
        stem = "boot" if link.mac == _BOOT else stem
        if link.bond is not None:
            yield f"20-goose-{stem}.netdev", _bond(link.bond)
        if link.vlan is not None:
            head = ["[NetDev]", f"Name={link.name}", "Kind=vlan"]
            yield f"20-goose-{stem}.netdev", [*head, "[VLAN]", f"Id={link.vlan}"]
        yield f"30-goose-{stem}.network", _network(link, made, network.search, nameservers)


def script(boot: BootContext) -> list[Quoted]:
    """Shell that writes the files in the new system; none where its installer knew all."""
    network = boot.machine.network
    if network is None or not needs_files(network):
        return []
    lines = [f"mkdir -p {FOLDER}"]
    if not network.links:
        lines.append(BOOT_MAC)
    for name, content in files(network, boot.nameservers):
        words = " ".join(f'"MACAddress={_BOOT}"' if _BOOT in w else shell(w) for w in content)
        lines.append(f"printf '%s\\n' {words} >{FOLDER}/{shell(name)}")
    if boot.nameservers:
        resolver = [f"search {' '.join(network.search)}"] if network.search else []
        resolver += [f"nameserver {server}" for server in boot.nameservers]
        lines.append(f"printf '%s\\n' {' '.join(map(shell, resolver))} >/etc/resolv.conf")
    lines.append("systemctl enable systemd-networkd.service")
    if plan(network).renamed:
        lines.append("update-initramfs -u -k all")  # udev renames cards there
    return [Quoted(line) for line in lines]


def _bond(bond: Bond) -> list[str]:
    hash_policy = bond.xmit_hash_policy
    found = {
        "Mode": bond.mode,
        "MIIMonitorSec": _milliseconds(bond.miimon),
        "UpDelaySec": _milliseconds(bond.updelay),
        "DownDelaySec": _milliseconds(bond.downdelay),
        "LACPTransmitRate": bond.lacp_rate,
        "TransmitHashPolicy": hash_policy,
        "MinLinks": bond.min_links,
    }
    options = [f"{name}={value}" for name, value in found.items() if value is not None]
    return ["[NetDev]", f"Name={bond.name}", "Kind=bond", "[Bond]", *options]


def _milliseconds(value: int | None) -> str | None:
    return None if value is None else f"{value}ms"


def _network(
    link: Link, made: Plan, search: tuple[str, ...], nameservers: tuple[str, ...]
) -> list[str]:
    own = link.addressing
    match = f"Name={link.name}" if link.name else f"MACAddress={link.mac}"
    lines = ["[Match]", match]
    lines += ["[Link]", f"MTUBytes={own.mtu}"] if own.mtu is not None else []
    lines += ["[Network]", *_addresses(own)]
    lines += [
        f"VLAN={vlan.name}" for vlan in made.links if vlan.parent and vlan.parent == link.name
    ]
    if own.is_static:
        lines += [f"DNS={server}" for server in nameservers]
        lines += [f"Domains={' '.join(search)}"] if search else []
    for route in own.routes:
        lines += ["[Route]", f"Destination={route.to}", f"Gateway={route.via}"]
        lines += [f"Metric={route.metric}"] if route.metric is not None else []
    return lines


def _addresses(own: Addressing) -> list[str]:
    v4, v6 = own.method4 == "dhcp", own.method6 == "dhcp"
    dhcp = {(True, True): "yes", (True, False): "ipv4", (False, True): "ipv6"}.get((v4, v6), "no")
    lines = [f"DHCP={dhcp}"]
    lines += [f"Address={one}" for one in (own.address, own.address6) if one is not None]
    lines += [f"Gateway={one}" for one in (own.gateway, own.gateway6) if one is not None]
    lines += ["LinkLocalAddressing=no"] if own.method6 == "off" else []
    # With an address of its own it takes its router from there too, and none that is announced.
    lines += ["IPv6AcceptRA=no"] if own.method6 in ("static", "off") else []
    return lines
