"""A small site for the tests of profiles and rendering, and contexts to render."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from goosed_daemon.infra.models import Machine, OSProfile, Site
from goosed_daemon.render.context import BootContext

BASE = "http://10.0.2.2:8080"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIPuGs04d9sECuqk7mq2kpfqgsNjyUHz3NRKqtUzLZZw ops@site"
HASH = "$6$abcdefgh$" + "./0Az" * 17 + "x"
RELEASES = ("rhel8", "rhel9", "rhel10", "debian12", "debian13")

SITE_YAML = """\
apiVersion: goose/v1
kind: Site
name: lab
"""
PROFILE_YAML = """\
apiVersion: goose/v1
kind: OSProfile
name: rhel9
installer: kickstart
release: rhel9
bundle: site-base
kernel: rhel9/vmlinuz
initrd: rhel9/initrd.img
repo: rhel9
disk:
  device: sda
"""
MACHINE_YAML = """\
apiVersion: goose/v1
kind: Machine
name: db-1
mac: 52:54:00:12:34:56
profile: rhel9
"""


def site(**fields: Any) -> Site:
    return Site.model_validate({"apiVersion": "goose/v1", "kind": "Site", "name": "lab"} | fields)


def profile(release: str = "rhel9", **fields: Any) -> OSProfile:
    kickstart = release.startswith("rhel")
    plain = {
        "apiVersion": "goose/v1",
        "kind": "OSProfile",
        "name": "base",
        "installer": "kickstart" if kickstart else "preseed",
        "release": release,
        "bundle": "site-base",
        "kernel": "os/vmlinuz",
        "initrd": "os/initrd.img",
        "repo": "os",
        "disk": {"device": "sda"},
    }
    return OSProfile.model_validate(plain | fields)


WINDOWS = ("win11", "ws2022", "ws2025")


def windows_profile(release: str = "ws2025", **fields: Any) -> OSProfile:
    """A profile for Windows whose `windows` may be added to by the field of that name."""
    own = {
        "image": {"name": "Windows Server 2025 SERVERSTANDARD"},
        "administratorPassword": {"secretFrom": {"file": "windows/administrator"}},
    } | fields.pop("windows", {})
    plain = {
        "apiVersion": "goose/v1",
        "kind": "OSProfile",
        "name": "base",
        "installer": "unattend",
        "release": release,
        "bundle": "site-base",
        "kernel": "win/wimboot",
        "initrd": "win/media/sources/boot.wim",
        "repo": "win/media",
        "disk": {"device": "0", "firmware": "uefi"},
        "windows": own,
    }
    return OSProfile.model_validate(plain | fields)


def machine(**fields: Any) -> Machine:
    plain = {
        "apiVersion": "goose/v1",
        "kind": "Machine",
        "name": "db-1",
        "mac": "52:54:00:12:34:56",
        "profile": "base",
    }
    return Machine.model_validate(plain | fields)


def boot(of: Site | None = None, to: OSProfile | None = None, on: Machine | None = None) -> Any:
    to = to or profile()
    return BootContext(
        of or site(),
        to,
        on or machine(),
        BASE,
        f"{BASE}/v1/artifacts/{to.bundle}@2026.11.1",
        "2026.11.1",
        "aToken_-09",
        datetime(2026, 11, 24, 12, 30, tzinfo=UTC),
        f"{BASE}/v1/machines/52:54:00:12:34:56/progress?token=aCallback_-09",
        token_id="01234567-89ab-cdef-0123-456789abcdef",
    )


FIREWALL = {"services": ["ssh", "https"], "ports": ["8080/tcp", "514/udp"]}


def full(release: str) -> BootContext:
    """Every field that a rendered file shows, once."""
    kickstart = release.startswith("rhel")
    return boot(
        site(
            domain="lab.example.org",
            timezone="Europe/Berlin",
            keyboard="de",
            language="de_DE.UTF-8",
            nameservers=["10.0.0.2", "fd00::2"],
            ntp=["10.0.0.3", "time.example.org"],
            rootPasswordHash=HASH,
            sshKeys=[KEY],
        ),
        profile(
            release,
            initrd=["os/initrd.img", "os/site ca.img"],
            arguments=["inst.text", "dyndbg=file drivers/net/* +p"],
            systemArguments=["quiet", "dyndbg=file drivers/net/* +p"],
            packages=["@core", "vim-enhanced", "-iwl*"] if kickstart else ["vim", "libc6-dev"],
            users=[
                {"name": "ops", "groups": ["adm", "users"], "sshKeys": [KEY, KEY + "2"]},
                {"name": "backup2", "passwordHash": HASH},
                {
                    "name": "admin",
                    "fullName": "A. O'Admin (site)",
                    "uid": "2000",
                    "shell": "/bin/sh",
                    "sudo": "nopasswd",
                },
                {"name": "second", "passwordHash": HASH, "sudo": "password"},
            ],
            commands=['echo "rack $RACK" >/etc/motd', "systemctl enable 'a b.service' || :"],
            weakDependencies="false",
            services={"enabled": ["chronyd", "serial-getty@ttyS1"], "disabled": ["cups"]},
            **({"selinux": "permissive", "firewall": FIREWALL} if kickstart else {}),
        ),
        machine(
            mac=["52:54:00:12:34:56", "52:54:00:12:34:57"],
            hostname="db-one",
            network={"address": "10.0.0.11/24", "gateway": "10.0.0.1"},
            console="ttyS1,115200n8",
            disk={"device": "disk/by-id/ata-X", "layout": "plain"},
            arguments=["mem=4G"],
            variables={"RACK": "it's a1", "EMPTY_LOOKING": "$(x) `y` \\"},
        ),
    )


# A network with everything: the booting card in a bond, VLANs over a bond and a card.
NETWORK = {
    "nameservers": ["10.0.0.2", "fd00::2"],
    "search": ["lab.example.org", "example.org"],
    "ethernets": [
        {
            "mac": "52:54:00:12:34:58",
            "address": "10.9.0.5/24",
            "address6": "fd09::5/64",
            "gateway6": "fe80::1",
            "mtu": 9000,
            "routes": [
                {"to": "10.8.0.0/16", "via": "10.9.0.1", "metric": 50},
                {"to": "fd08::/32", "via": "fd09::1"},
            ],
        },
        {"name": "eno4", "ipv4": "off", "ipv6": "dhcp"},
        {"mac": "52:54:00:12:34:5a"},
        {"mac": "52:54:00:12:34:59", "name": "store0", "ipv6": "off"},
    ],
    "bonds": [
        {
            "name": "bond0",
            "members": ["52:54:00:12:34:56", "52:54:00:12:34:57"],
            "mode": "802.3ad",
            "lacpRate": "fast",
            "xmitHashPolicy": "layer3+4",
            "updelay": 200,
            "minLinks": 1,
            "address": "10.0.0.11/24",
            "gateway": "10.0.0.1",
        },
        {
            "name": "bond1",
            "members": ["store0", "eno3"],
            "primary": "store0",
            "ipv4": "off",
            "ipv6": "off",
            "mtu": 9000,
        },
    ],
    "vlans": [
        {"id": 100, "parent": "bond0", "address": "10.100.0.11/24"},
        {"id": 200, "parent": "52:54:00:12:34:58", "name": "backup", "ipv6": "off"},
    ],
}


def networked(release: str) -> BootContext:
    """A machine with `NETWORK`."""
    return boot(to=profile(release), on=machine(network=NETWORK))


def one_card(release: str) -> BootContext:
    """A machine whose one card has more to it than an address."""
    routes = [{"to": "10.8.0.0/16", "via": "10.0.0.254"}, {"to": "fd08::/32", "via": "fd00::1"}]
    own = {"address": "10.0.0.11/24", "address6": "fd00::b/64", "mtu": 9000, "routes": routes}
    return boot(to=profile(release), on=machine(network=own | {"search": ["lab.example.org"]}))


def over_tls(release: str) -> BootContext:
    """A plain machine at a site that serves rendered files over HTTPS."""
    base, made = "https://10.0.0.5:8443", boot(to=profile(release))
    return replace(
        made,
        base_url=base,
        artifacts=made.artifacts.replace(BASE, base),
        callback=made.callback.replace(BASE, base),
        boot_url="http://10.0.0.5:8080",
        ca="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )


VOLUMES = {
    "device": "disk/by-id/nvme-X",
    "firmware": "uefi",
    "filesystems": [
        {"mount": "/", "size": "20G"},
        {"mount": "/boot", "size": "2G", "type": "ext4"},
        {"mount": "/var", "size": "10G", "grow": "true"},
        {"mount": "/srv/data", "size": "1T", "type": "ext4", "name": "data"},
        {"mount": "/scratch", "size": "8G", "partition": "true"},
        {"mount": "swap", "size": "4G"},
    ],
}
MIRROR = {
    "device": "disk/by-id/ata-A",
    "mirror": "disk/by-id/ata-B",
    "firmware": "uefi",
    "volumeGroup": "vg0",
    "filesystems": [
        {"mount": "/", "size": "20G"},
        {"mount": "/home", "size": "8G", "grow": "true"},
    ],
}
PLAIN_MIRROR = {"device": "sda", "mirror": "sdb", "firmware": "bios", "layout": "plain"}
EITHER_FIRMWARE = {
    "device": "sda",
    "layout": "plain",
    "filesystems": [
        {"mount": "/", "size": "20G", "grow": "true"},
        {"mount": "swap", "size": "4G"},
    ],
}


def stored(disk: dict[str, Any], release: str) -> BootContext:
    """A machine with a disk of its own."""
    return boot(to=profile(release), on=machine(disk=disk))


DRIVERS = [
    {"files": ["drivers/net/net.inf", "drivers/net/net.sys", "drivers/net/net.cat"]},
    {
        "files": ["drivers/raid/raid.inf", "drivers/raid/raid.sys"],
        "machines": {"matchLabels": {"model": "r650"}},
    },
    {"files": ["drivers/not-this/x.inf"], "machines": {"matchLabels": {"model": "r660"}}},
]


def windows(release: str = "ws2025", firmware: str = "uefi") -> BootContext:
    """A machine with all that may be said of Windows."""
    own = {
        "image": {"path": "sources/install 2.wim", "index": 2},
        "productKey": {"secretFrom": {"env": "GOOSE_SECRET_KEY"}},
        "organization": 'Site <A> & "Co"',
        "curl": "tools/curl.exe",
        "drivers": DRIVERS,
    }
    network = {
        "nameservers": ["10.0.0.2", "fd00::2"],
        "search": ["lab.example.org"],
        "ethernets": [
            {
                "mac": "52:54:00:12:34:56",
                "address": "10.0.0.11/24",
                "gateway": "10.0.0.1",
                "address6": "fd00::b/64",
                "routes": [{"to": "10.8.0.0/16", "via": "10.0.0.254", "metric": 50}],
            },
            {"mac": "52:54:00:12:34:57"},
        ],
    }
    made = boot(
        of=site(
            domain="lab.example.org",
            timezone="Europe/Berlin",
            keyboard="de",
            language="de_DE.UTF-8",
            ntp=["10.0.0.3", "ntp.example.org"],
        ),
        to=windows_profile(
            release,
            disk={"device": "0", "firmware": firmware},
            windows=own,
            commands=["Set-Content C:\\rack.txt $env:RACK"],
            variables={"RACK": {}},
        ),
        on=machine(labels={"model": "r650"}, network=network, variables={"RACK": "it's a1"}),
    )
    base = "https://10.0.0.5:8443"
    return replace(
        made,
        base_url=base,
        artifacts=made.artifacts.replace(BASE, base),
        callback=made.callback.replace(BASE, base),
        boot_url="http://10.0.0.5:8080",
        ca="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
