"""`network` commands for Anaconda, and what its kickstarts have no words for.

(Red Hat Enterprise Linux, "Kickstart commands and options reference", `network`.)
"""

from __future__ import annotations

from goosed_daemon.infra.models import Addressing, Bond
from goosed_daemon.render.context import BootContext
from goosed_daemon.render.network import BOOT_MAC, Link, Plan, plan
from goosed_daemon.render.quoting import Quoted, shell
from goosed_daemon.render.quoting import kickstart as word


def commands(boot: BootContext) -> list[Quoted]:
    """The `network` commands of a machine, quoted."""
    own = boot.machine.network
    hostname = f"--hostname={word(boot.hostname)}"
    if own is None or not own.links:
        options = ["--device=bootif", "--bindto=mac", *_addressing(boot, own or Addressing())]
        return [Quoted(" ".join(["network", *options, "--activate", "--onboot=yes", hostname]))]
    made = plan(own)
    # The installer keeps the card that it came up with: what is set here is for the new system.
    found = [
        Quoted(" ".join(["network", *_link(boot, link), "--no-activate", "--onboot=yes"]))
        for link in made.links
    ]
    return [*found, Quoted(f"network {hostname}")]


def _link(boot: BootContext, link: Link) -> list[str]:
    options = [f"--device={word(link.parent or link.key)}"]
    if link.bond is not None:
        members = ",".join(link.members)
        options += [f"--bondslaves={word(members)}", f"--bondopts={word(_options(link))}"]
    if link.vlan is not None:
        options += [f"--vlanid={link.vlan}", f"--interfacename={word(link.key)}"]
    if link.name is None:
        options += ["--bindto=mac"]
    return options + _addressing(boot, link.addressing)


def bond_options(bond: Bond, primary: str | None) -> dict[str, str]:
    """Options of the bonding driver by their names there."""
    found = {
        "mode": bond.mode,
        "miimon": bond.miimon,
        "updelay": bond.updelay,
        "downdelay": bond.downdelay,
        "lacp_rate": bond.lacp_rate,
        "xmit_hash_policy": bond.xmit_hash_policy,
        "min_links": bond.min_links,
        "primary": primary,
    }
    return {name: str(value) for name, value in found.items() if value is not None}


def _options(link: Link) -> str:
    bond = link.bond
    if bond is None:
        return ""
    primary = link.members[bond.members.index(bond.primary)] if bond.primary else None
    return ",".join(f"{name}={value}" for name, value in bond_options(bond, primary).items())


def _addressing(boot: BootContext, own: Addressing) -> list[str]:
    options: list[str] = []
    if own.address is not None:
        options += ["--bootproto=static", f"--ip={own.address.ip}"]
        options += [f"--netmask={own.address.netmask}"]
        options += [f"--gateway={own.gateway}"] if own.gateway is not None else []
    else:
        options += ["--bootproto=dhcp"] if own.ipv4 == "dhcp" else ["--noipv4"]
    if own.address6 is not None:
        options += [f"--ipv6={own.address6}"]
        options += [f"--ipv6gateway={own.gateway6}"] if own.gateway6 is not None else []
    elif own.ipv6 != "auto":
        options += ["--ipv6=dhcp"] if own.ipv6 == "dhcp" else ["--noipv6"]
    options += [f"--mtu={own.mtu}"] if own.mtu is not None else []
    servers = ",".join(boot.nameservers)
    options += [f"--nameserver={word(servers)}"] if own.is_static and servers else []
    return options


def script(boot: BootContext) -> list[Quoted]:
    """Shell for %post: what the commands cannot say. Quoted lines; none where nothing is left."""
    own = boot.machine.network
    if own is None:
        return []
    made = plan(own)
    links = made.links or (Link("ethernet", None, None, own),)
    write = _ifcfg if boot.profile.release == "rhel8" else _keyfile
    lines = [line for link in links for line in write(link, own.search)]
    if lines:
        lines = [*(_FIND_IFCFG if boot.profile.release == "rhel8" else _FIND_KEYFILE), *lines]
        if not made.links:
            lines = [BOOT_MAC, *lines]
    return [Quoted(line) for line in [*_names(made), *lines]]


def _names(made: Plan) -> list[str]:
    """Files that give cards their names (systemd.link(5)), and an initramfs that has them."""
    lines = []
    for mac, name in made.renamed.items():
        path = f"/etc/systemd/network/10-goose-{name}.link"
        content = ("[Match]", f"MACAddress={mac}", "", "[Link]", f"Name={name}")
        lines.append(f"printf '%s\\n' {' '.join(map(shell, content))} >{shell(path)}")
    if not lines:
        return []
    return ["mkdir -p /etc/systemd/network", *lines, "dracut --force --regenerate-all"]


_FIND_KEYFILE = (
    "connection() {",
    "    for known in /etc/NetworkManager/system-connections/*.nmconnection; do",
    '        if grep -qix -e "interface-name=$1" -e "mac-address=$1" "$known"; then',
    '            cat >>"$known"',
    "            return",
    "        fi",
    "    done",
    '    echo "goose: no connection of $1: its routes are not set" >&2',
    "}",
)
_FIND_IFCFG = (
    "connection() {",
    "    for known in /etc/sysconfig/network-scripts/ifcfg-*; do",
    '        if tr -d \'"\' <"$known" | grep -qix -e "DEVICE=$1" -e "HWADDR=$1"; then',
    '            cat >>"${known%/*}/$2${known##*/ifcfg}"',
    "            return",
    "        fi",
    "    done",
    '    echo "goose: no connection of $1: its routes are not set" >&2',
    "}",
)


def _which(link: Link) -> str:
    return shell(link.key) if link.key else '"$boot"'


def _keyfile(link: Link, search: tuple[str, ...]) -> list[str]:
    """nm-settings-keyfile(5): routes as `TO,VIA,METRIC`; a section may come again."""
    lines = []
    for section, version in (("[ipv4]", 4), ("[ipv6]", 6)):
        routes = [r for r in link.addressing.routes if r.to.version == version]
        content = [
            f"route{n}={r.to},{r.via}" + (f",{r.metric}" if r.metric is not None else "")
            for n, r in enumerate(routes, 1)
        ]
        method = link.addressing.method4 if version == 4 else link.addressing.method6
        if search and method == "static":
            content.append(f"dns-search={';'.join(search)};")
        if content:
            words = " ".join(map(shell, ("", section, *content)))
            lines.append(f"printf '%s\\n' {words} | connection {_which(link)}")
    return lines


def _ifcfg(link: Link, search: tuple[str, ...]) -> list[str]:
    """nm-settings-ifcfg-rh(5): routes in the words of ip-route(8)."""
    lines = []
    for name, version in (("route", 4), ("route6", 6)):
        content = [
            f"{r.to} via {r.via}" + (f" metric {r.metric}" if r.metric is not None else "")
            for r in link.addressing.routes
            if r.to.version == version
        ]
        if content:
            words = " ".join(map(shell, content))
            lines.append(f"printf '%s\\n' {words} | connection {_which(link)} {name}")
    if search and link.addressing.is_static:
        domains = shell(f'DOMAIN="{" ".join(search)}"')
        lines.append(f"printf '%s\\n' {domains} | connection {_which(link)} ifcfg")
    return lines
