"""Networks of more than one card: what is written down, read back by who will read it."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from bundles.errors import GooseError
from goosed_daemon.infra.models import Network
from goosed_daemon.render import anaconda, kernel, kickstart, networkd, preseed
from goosed_daemon.render.context import BootContext
from tests.daemon.infra_site import NETWORK, boot, machine, networked, one_card, profile
from tests.daemon.test_render_attacks import (
    HOSTILE,
    kickstart_options,
    kickstart_shape,
    nasty,
    preseed_shape,
)
from tests.parts import part

BOOTING = "52:54:00:12:34:56"


def arguments(network: Any, release: str = "rhel9") -> tuple[str, ...]:
    found = kernel.arguments(boot(to=profile(release), on=machine(network=network)))
    return tuple(word for word in found if word.startswith(("ip=", "ifname=", "netcfg/get_ip")))


def test_the_installer_has_the_address_of_the_bond_that_its_card_is_of() -> None:
    names = [f"ifname=lan{n}:52:54:00:12:34:5{m}" for n, m in ((0, 6), (1, 7), (2, 8))]
    assert arguments(NETWORK) == (
        "ifname=store0:52:54:00:12:34:59",
        *names,
        "ip=10.0.0.11::10.0.0.1:255.255.255.0:db-1:lan0:none",
    )
    assert arguments(NETWORK, "debian12") == ("netcfg/get_ipaddress=10.0.0.11",)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ({}, "ip=dhcp"),
        ({"address6": "fd00::5/64", "gateway6": "fd00::1"},
         "ip=[fd00::5]::[fd00::1]:64:db-1:boot0:none"),
        ({"ethernets": [{"mac": BOOTING, "address": "10.0.0.5/24"}]},
         "ip=10.0.0.5:::255.255.255.0:db-1:boot0:none"),
        ({"ethernets": [{"mac": BOOTING, "name": "up0", "address": "10.0.0.5/24"}]},
         "ip=10.0.0.5:::255.255.255.0:db-1:up0:none"),
        # What another card has is none of the installer's business.
        ({"ethernets": [{"mac": "52:54:00:12:34:99", "address": "10.0.0.5/24"}]}, "ip=dhcp"),
        ({"ethernets": [{"name": "eno1", "address": "10.0.0.5/24"}]}, "ip=dhcp"),
        # The card carries a VLAN; it boots untagged.
        ({"ethernets": [{"mac": BOOTING, "ipv4": "off"}],
          "vlans": [{"id": 5, "parent": BOOTING, "address": "10.0.0.5/24"}]}, "ip=dhcp"),
    ],
)  # fmt: skip
def test_only_the_booting_card_comes_up_in_the_installer(network: Any, expected: str) -> None:
    assert arguments(network)[-1] == expected


def test_the_card_that_asked_is_the_one_that_comes_up() -> None:
    on = machine(mac=[BOOTING, "52:54:00:12:34:57"], network={"address": "10.0.0.5/24"})
    context = boot(on=on)
    asked = BootContext(
        context.site, context.profile, on, context.base_url, context.artifacts, "1",
        token="t", asked="52:54:00:12:34:57",
    )  # fmt: skip
    assert "ifname=boot0:52:54:00:12:34:57" in kernel.arguments(asked)


@pytest.mark.parametrize("release", ["rhel8", "rhel9", "rhel10"])
def test_pykickstart_reads_what_was_meant(release: str) -> None:
    from pykickstart.parser import KickstartParser
    from pykickstart.version import makeVersion

    parser = KickstartParser(makeVersion(release.upper()))
    with pytest.warns(UserWarning, match="already been defined"):
        parser.readKickstartFromString(kickstart.render(networked(release)))
    found = [data for data in parser.handler.network.network if data.device]
    bond = next(data for data in found if data.bondslaves == "lan0,lan1")
    assert (bond.device, bond.ip, bond.gateway) == ("bond0", "10.0.0.11", "10.0.0.1")
    assert bond.bondopts.split(",")[:2] == ["mode=802.3ad", "miimon=100"]
    vlans = {data.vlanid: (data.device, data.interfacename) for data in found if data.vlanid}
    assert vlans == {"100": ("bond0", "bond0.100"), "200": ("lan2", "backup")}
    by_mac = next(data for data in found if data.device == "52:54:00:12:34:5a")
    assert by_mac.bindto == "mac"
    assert not any(data.activate for data in found), "the installer keeps the card it has"


def run_post(lines: list[Any], root: Path) -> str:
    """Run shell that is meant for a new system, in a folder that stands in for it."""
    stub = root / "bin"
    stub.mkdir()
    for name in ("dracut", "systemctl", "update-initramfs"):
        (stub / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{root}/called\n')
        (stub / name).chmod(0o755)
    (root / "proc").mkdir()
    (root / "proc" / "cmdline").write_text(f"quiet BOOTIF=01-{BOOTING.replace(':', '-')} x=y\n")
    script = "\n".join(["set -eu", *lines, ""])
    for folder in ("/etc/", "/proc/"):
        script = script.replace(folder, f"{root}{folder}")
    done = subprocess.run(
        ["dash", "-c", script], capture_output=True, text=True, check=True,
        env={"PATH": f"{stub}:{os.environ['PATH']}"},
    )  # fmt: skip
    return done.stderr


def keyfile(path: Path) -> dict[str, dict[str, str]]:
    """A keyfile, where a group may come again (GLib, "Key-value file parser")."""
    parser = configparser.ConfigParser(strict=False, delimiters="=", interpolation=None)
    parser.read(path)
    return {name: dict(parser[name]) for name in parser.sections()}


def test_routes_are_added_to_the_keyfile_that_the_installer_wrote(tmp_path: Path) -> None:
    folder = tmp_path / "etc" / "NetworkManager" / "system-connections"
    folder.mkdir(parents=True)
    for name in ("lan2", "bond0", "bond0.100"):
        (folder / f"{name}.nmconnection").write_text(
            f"[connection]\nid={name}\ninterface-name={name}\n\n[ipv4]\nmethod=manual\n"
        )
    assert run_post(anaconda.script(networked("rhel9")), tmp_path) == ""
    assert keyfile(folder / "lan2.nmconnection") == {
        "connection": {"id": "lan2", "interface-name": "lan2"},
        "ipv4": {
            "method": "manual",
            "route1": "10.8.0.0/16,10.9.0.1,50",
            "dns-search": "lab.example.org;example.org;",
        },
        "ipv6": {"route1": "fd08::/32,fd09::1", "dns-search": "lab.example.org;example.org;"},
    }
    link = tmp_path / "etc" / "systemd" / "network" / "10-goose-lan0.link"
    assert link.read_text() == f"[Match]\nMACAddress={BOOTING}\n\n[Link]\nName=lan0\n"
    assert (tmp_path / "called").read_text() == "dracut --force --regenerate-all\n"


def test_the_booting_cards_keyfile_is_found_by_its_mac(tmp_path: Path) -> None:
    folder = tmp_path / "etc" / "NetworkManager" / "system-connections"
    folder.mkdir(parents=True)
    own = folder / "eno1.nmconnection"
    own.write_text(f"[connection]\nid=eno1\n\n[ethernet]\nmac-address={BOOTING.upper()}\n")
    (folder / "eno2.nmconnection").write_text("[connection]\ninterface-name=eno2\n")
    assert run_post(anaconda.script(one_card("rhel10")), tmp_path) == ""
    assert keyfile(own)["ipv4"]["route1"] == "10.8.0.0/16,10.0.0.254"
    assert not (tmp_path / "called").exists(), "no card was given a name"


def test_a_connection_that_is_not_there_is_told_and_no_reason_to_fail(tmp_path: Path) -> None:
    said = run_post(anaconda.script(one_card("rhel9")), tmp_path)
    assert f"goose: no connection of {BOOTING}: its routes are not set" in said


def test_routes_of_rhel_8_stand_beside_its_ifcfg_files(tmp_path: Path) -> None:
    folder = tmp_path / "etc" / "sysconfig" / "network-scripts"
    folder.mkdir(parents=True)
    for name in ("lan2", "bond0", "bond0.100"):
        (folder / f"ifcfg-{name}").write_text(f'TYPE=Ethernet\nDEVICE="{name}"\n')
    assert run_post(anaconda.script(networked("rhel8")), tmp_path) == ""
    assert (folder / "route-lan2").read_text() == "10.8.0.0/16 via 10.9.0.1 metric 50\n"
    assert (folder / "route6-lan2").read_text() == "fd08::/32 via fd09::1\n"
    assert 'DOMAIN="lab.example.org example.org"' in (folder / "ifcfg-bond0").read_text()


@pytest.mark.parametrize("make", [networked, one_card])
def test_networkd_itself_finds_no_fault_in_its_files(make: Any, tmp_path: Path) -> None:
    """Run in a network namespace that has no cards, so that it reads and does nothing."""
    networkd_ = part("systemd-networkd")
    (tmp_path / "etc").mkdir()
    run_post(networkd.script(make("debian12")), tmp_path)
    folder = tmp_path / "etc" / "systemd" / "network"
    (folder / "99-wrong.network").write_text("[Match]\nName=x\n[Network]\nAdress=1\n")
    script = (
        "mount -t tmpfs none /run && mkdir -p /run/systemd /run/udev"
        f" && mount --bind {folder} /etc/systemd/network"
        f" && SYSTEMD_LOG_TARGET=console timeout -k 5 4 {networkd_}"
    )
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run(
        ["unshare", *as_root, "--net", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
    )
    said = [line for line in done.stderr.splitlines() if "/etc/systemd/network" in line]
    wrong = "99-wrong.network:4: Unknown key 'Adress' in section [Network], ignoring."
    assert said == [f"/etc/systemd/network/{wrong}"], done.stderr
    assert (tmp_path / "called").read_text().startswith("systemctl enable systemd-networkd.service")


def test_debian_keeps_the_installers_resolver_unless_servers_are_named(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    run_post(networkd.script(networked("debian12")), tmp_path)
    assert (tmp_path / "etc" / "resolv.conf").read_text() == (
        "search lab.example.org example.org\nnameserver 10.0.0.2\nnameserver fd00::2\n"
    )
    assert not any("resolv.conf" in line for line in networkd.script(one_card("debian12")))


def test_debian_leaves_its_own_network_files_to_the_loopback() -> None:
    line = "d-i netcfg/target_network_config select loopback\n"
    assert line in preseed.render(networked("debian12"))
    assert line not in preseed.render(boot(to=profile("debian12")))


def tampered(release: str, of: str, field: str, value: str) -> BootContext:
    """The network with one text that no model has seen."""
    whole = Network.model_validate(NETWORK)
    listed = list(getattr(whole, of))
    listed[0] = listed[0].model_copy(update={field: value})
    changed = whole.model_copy(update={of: tuple(listed)})
    return boot(to=profile(release), on=machine().model_copy(update={"network": changed}))


TEXTS = [("ethernets", "mac"), ("ethernets", "name"), ("bonds", "name"), ("bonds", "mode")]


@given(HOSTILE)
@nasty
def test_no_name_in_a_network_breaks_out_of_its_line(value: str) -> None:
    for release, render, shape in (
        ("rhel8", kickstart.render, kickstart_shape),
        ("rhel9", kickstart.render, kickstart_shape),
        ("debian12", preseed.render, preseed_shape),
    ):
        expected = render(networked(release))
        known = set(shape(expected))
        for of, field in TEXTS:
            try:
                text = render(tampered(release, of, field, value))
            except GooseError:
                continue
            if value:
                new = [line for line in shape(text) if line not in known]
                assert all(str(line).startswith("printf") for line in new), new
                if release != "debian12":
                    assert options(text) == options(expected)


def options(text: str) -> list[list[str]]:
    """A card by another MAC address carries no VLAN, so that it needs no name: no injection."""
    return [[o for o in line if o != "--bindto"] for line in kickstart_options(text)]


def test_every_scriptlet_is_shell(tmp_path: Path) -> None:
    assert shutil.which("dash")
    for release in ("rhel8", "rhel9", "debian12"):
        lines = networkd.script if release == "debian12" else anaconda.script
        for make in (networked, one_card):
            script = "\n".join(lines(make(release)))
            subprocess.run(["dash", "-n"], input=script, text=True, check=True)
