"""Profiles: what is wrong is named with file, line, column and field, all at once."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager, suppress
from pathlib import Path

import pytest

from bundles.files.document import InvalidDocument
from goosed_daemon import infra
from tests.daemon.infra_site import HASH, MACHINE_YAML, PROFILE_YAML, SITE_YAML


def write(folder: Path, *documents: str) -> Path:
    (folder / "site.yaml").write_text("---\n".join(documents))
    return folder


def problems(folder: Path) -> list[str]:
    """All problems, without the folder's own path."""
    with pytest.raises(InvalidDocument) as caught:
        infra.load(folder)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_files_and_folders_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "rack a").mkdir()
    (tmp_path / "rack a" / "one.yml").write_text(MACHINE_YAML)
    (tmp_path / "x.yaml").write_text(SITE_YAML + "---\n" + PROFILE_YAML + "---\n")
    (tmp_path / ".hidden.yaml").write_text("not: a profile\n")
    (tmp_path / "notes.txt").write_text("not: a profile\n")
    found = infra.load(tmp_path)
    assert found.site.name == "lab"
    assert found.profile("rhel9").release == "rhel9"
    assert found.machine("db-1") is found.machine_by_mac("52:54:00:12:34:56")
    assert str(found.places["Machine", "db-1"]) == f"{tmp_path}/rack a/one.yml:3"
    assert found.machine_by_mac("52:54:00:12:34:57") is None
    assert found.machine("db-2") is None


def test_text_that_yaml_1_1_would_type(tmp_path: Path) -> None:
    more = "serial: 0123\nlabels: {country: NO, version: 2026.10}\nvariables: {A: on}\n"
    machine = infra.load(write(tmp_path, SITE_YAML, PROFILE_YAML, MACHINE_YAML + more)).machine(
        "db-1"
    )
    assert machine is not None
    assert machine.mac == ("52:54:00:12:34:56",)
    assert machine.serial == "0123"
    assert machine.labels == {"country": "NO", "version": "2026.10"}
    assert machine.variables == {"A": "on"}


def test_an_empty_value_is_one_that_is_not_given(tmp_path: Path) -> None:
    more = "labels:\nserial: ~\narguments: null\nvariables:\nuuid: 'null'\n"
    (found,) = problems(write(tmp_path, SITE_YAML, PROFILE_YAML, MACHINE_YAML + more))
    assert "uuid: 'null' is not a UUID" in found, "in quotes it is a word"
    text = MACHINE_YAML.replace("mac: 52:54:00:12:34:56", "mac:") + "nmae:\n"
    found, other = problems(write(tmp_path, SITE_YAML, PROFILE_YAML, text))
    assert "mac: is missing" in found
    assert "nmae: no such field" in other


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('hostname: "db\\nkernel http://evil/"', "6:11: hostname: contains a newline;"),
        ('serial: "a\\u202eb"', "6:9: serial: contains the character U+202E;"),
        ('labels: {a: "\\t"}', "6:13: labels.a: contains a tab;"),
        ("labels: {A b: c}", "6:10: labels.A b: 'A b' is not a label name"),
        ("hostname: -rf", "6:11: hostname: '-rf' is not a host name"),
        ("hostname: " + "a" * 64, "6:11: hostname: '" + "a" * 60 + "' is too long"),
        ("uuid: 4c4c4544", "6:7: uuid: '4c4c4544' is not a UUID"),
        ("uuid: ffffffff-ffff-ffff-ffff-ffffffffffff", "6:7: uuid: 'ffffffff-"),
        ("arguments: [a b]", "6:13: arguments[0]: 'a b' is not one kernel argument"),
        ("arguments: ['a=\"b\"']", "6:13: arguments[0]: contains a double quote;"),
        ("arguments: ['a=${net0/ip}']", "6:13: arguments[0]: contains ${, which iPXE"),
        ("arguments: [a=b || c]", "6:13: arguments[0]: contains a word that iPXE"),
        ("arguments: ['a=b  c']", "6:13: arguments[0]: contains a word that iPXE"),
        ("arguments: ['--']", "6:13: arguments[0]: '--' is not one kernel argument"),
        ("network: {address: 10.0.0.5}", "6:20: network.address: '10.0.0.5' is not a host's"),
        ("network: {address: 10.0.0.0/24}", "6:20: network.address: '10.0.0.0/24' is not a"),
        (
            "network: {address: 10.0.0.5/24, gateway: 10.0.1.1}",
            "6:42: network.gateway: 10.0.1.1 is not in the network 10.0.0.0/24",
        ),
        (
            "network: {address: 10.0.0.5/24, gateway: 10.0.0.5}",
            "6:42: network.gateway: 10.0.0.5 is the machine's own address",
        ),
        ("network: {gatway: 10.0.0.1}", "6:11: network.gatway: no such field (did you mean gat"),
        ("network: {gateway: 10.0.0.1}", "6:10: network: gateway is of no use without address"),
        ("network: {gateway6: fe80::1}", "6:10: network: gateway6 is of no use without address6"),
        ("network: {address6: fe80::1/64}", "6:21: network.address6: 'fe80::1/64' is not a"),
        ("network: {mtu: 100}", "6:16: network.mtu: "),
        ("network: {ipv4: static}", "6:17: network.ipv4: "),
        (
            "network: {routes: [{to: 0.0.0.0/0, via: 10.0.0.1}]}",
            "6:25: network.routes[0].to: '0.0.0.0/0' is not a network, such as 10.1",
        ),
        (
            "network: {routes: [{to: 10.1.0.0/16, via: 'fd00::1'}]}",
            "6:43: network.routes[0].via: fd00::1 is no router to 10.1.0.0/16",
        ),
        (
            "network: {ethernets: [{mtu: 9000}]}",
            "6:23: network.ethernets[0]: mac or name is needed",
        ),
        ("network: {ethernets: [{name: lo}]}", "6:30: network.ethernets[0].name: 'lo' means"),
        ("network: {ethernets: [{name: a b}]}", "6:30: network.ethernets[0].name: 'a b' is not a"),
        (
            "network: {address: 10.0.0.5/24, ethernets: [{name: eno1}]}",
            "6:10: network: with ethernets, bonds or vlans each address belongs into one of them",
        ),
        (
            "network: {bonds: [{name: b, members: [eno1], lacpRate: fast}]}",
            "6:19: network.bonds[0]: lacpRate is for the modes 802.3ad, not active-backup",
        ),
        (
            "network: {bonds: [{name: b, members: [eno1, eno1]}]}",
            "6:19: network.bonds[0]: b has a member twice",
        ),
        (
            "network: {bonds: [{name: b, members: [eno1], primary: eno2}]}",
            "6:19: network.bonds[0]: primary eno2 is no member of b",
        ),
        (
            "network: {bonds: [{name: b, members: [e1]}, {name: c, members: [e2, e1]}]}",
            "6:10: network: e1 is a member of b and of c",
        ),
        (
            "network: {ethernets: [{name: e, address6: f::1/9}], bonds: [{name: b, members: e}]}",
            "6:10: network: e is a member of b, which has the addresses",
        ),
        (
            "network: {ethernets: [{name: e1}], vlans: [{id: 5, parent: e2}]}",
            "6:10: network: vlan 5 is on e2, which is neither in ethernets nor in bonds",
        ),
        (
            "network: {ethernets: [{name: e1}], bonds: [{name: e1, members: [e2]}]}",
            "6:10: network: e1 is there twice",
        ),
        ("console: ttyS0 init=/bin/sh", "6:10: console: 'ttyS0 init=/bin/sh' is not a"),
        ("disk: {device: ../etc/passwd}", "6:16: disk.device: '../etc/passwd' is not a disk"),
        ("variables: {path: x}", "6:13: variables.path: 'path' is not a variable"),
        ("nmae: x", "6:1: nmae: no such field (did you mean name?)"),
        ("hostnmae: x", "6:1: hostnmae: no such field (did you mean hostname?)"),
        ("api_version: goose/v1", "6:1: api_version: no such field (did you mean apiVersion?)"),
    ],
)
def test_mistake_in_a_machine(tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "m.yaml").write_text(MACHINE_YAML + line + "\n")
    found = problems(write(tmp_path, SITE_YAML, PROFILE_YAML))
    assert found[0].startswith(f"m.yaml:{problem}")


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (("release: rhel9", "release: debian12"), "5:10: release: debian12 is not installed by"),
        (("release: rhel9", "release: rhel7"), "5:10: release: 'rhel7' is not one of 'rhel8',"),
        (("kernel: rhel9/", "kernel: ../"), "7:9: kernel: the path '../vmlinuz' leaves"),
        (("kernel: rhel9/", "kernel: /"), "7:9: kernel: the path '/vmlinuz'"),
        (("initrd: rhel9/initrd.img", "initrd: []"), "8:9: initrd: must have at least 1 entries"),
        (("disk:\n  device: sda\n", ""), "1:1: disk: is missing"),
        (("  device: sda", "  device: sda\n  layuot: lvm"), "12:3: disk.layuot: no such field"),
        (("repo: rhel9", "repo: rhel9\npackages: [vim, '%end']"), "10:17: packages[1]: '%end' is"),
        (("repo: rhel9", "repo: rhel9\npackages: ['a b']"), "10:12: packages[0]: 'a b' is not"),
        (("repo: rhel9", "repo: rhel9\ncommands: ['%end']"), "10:12: commands[0]: begins with %"),
        (("repo: rhel9", "repo: rhel9\ncommands: ['%include /x']"), "10:12: commands[0]: begins"),
        (("repo: rhel9", 'repo: rhel9\ncommands: ["a\\n%end"]'), "10:12: commands[0]: contains a"),
        (("repo: rhel9", "repo: rhel9\nusers: [{name: root}]"), "10:8: users: the user 'root' is"),
        (
            ("repo: rhel9", "repo: rhel9\nusers: [{name: a, sshKeys: [ssh-rsa AAAA]}]"),
            "10:29: users[0].sshKeys[0]: 'ssh-rsa AAAA' is not an OpenSSH public key",
        ),
        (("name: rhel9", "name: [rhel9]"), "3:7: name: must be text, not a list"),
        (("name: rhel9", "name: RHEL 9"), "3:7: name: 'RHEL 9' is not a name"),
        (("kind: OSProfile", "kind: OsProfile"), "2:7: kind: no such kind 'OsProfile' (did you"),
        (("kind: OSProfile\n", ""), "1:1: has no kind; known: Site, OSProfile, Group, Machine"),
        (("goose/v1", "goose/v2"), "1:13: apiVersion: 'goose/v2' is not one of 'goose/v1'"),
    ],
)
def test_mistake_in_a_profile(tmp_path: Path, wrong: tuple[str, str], problem: str) -> None:
    assert wrong[0] in PROFILE_YAML
    (tmp_path / "p.yaml").write_text(PROFILE_YAML.replace(*wrong))
    assert problems(write(tmp_path, SITE_YAML))[0].startswith(f"p.yaml:{problem}")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("timezone: Mars Base", "4:11: timezone: 'Mars Base' is not a time zone"),
        ("ntp: [a b]", "4:7: ntp[0]: 'a b' is not a host name"),
        ("nameservers: [dns.example.org]", "4:15: nameservers[0]: 'dns.example.org' is not an IP"),
        ("url: ftp://x", "4:6: url: 'ftp://x' is not a URL such as"),
        ("url: http://x/?a=b", "4:6: url: 'http://x/?a=b' has characters"),
        ("url: http://a@b", "4:6: url: 'http://a@b' may hold only"),
        ("url: http://x/${uuid}", "4:6: url: 'http://x/${uuid}' has characters"),
        ("language: english", "4:11: language: 'english' is not a locale"),
    ],
)
def test_mistake_in_the_site(tmp_path: Path, line: str, problem: str) -> None:
    assert problems(write(tmp_path, SITE_YAML + line + "\n"))[0].startswith(f"site.yaml:{problem}")


def test_a_plain_password_is_refused_and_not_repeated(tmp_path: Path) -> None:
    (found,) = problems(write(tmp_path, SITE_YAML + "rootPasswordHash: hunter2\n"))
    assert found.startswith("site.yaml:4:19: rootPasswordHash: this is not a password hash")
    assert "hunter2" not in found


@pytest.mark.parametrize("breakout", ["' --plaintext '", "\\n", '"', " --x", "${x}", "$(x)"])
def test_a_password_hash_holds_nothing_else(tmp_path: Path, breakout: str) -> None:
    (found,) = problems(write(tmp_path, SITE_YAML + f"rootPasswordHash: >-\n  {HASH}{breakout}\n"))
    assert "rootPasswordHash: " in found


def test_references_and_duplicates_of_all_files_at_once(tmp_path: Path) -> None:
    other = MACHINE_YAML.replace("db-1", "db-2").replace("profile: rhel9", "profile: rhel8")
    twin = MACHINE_YAML.replace("52:54:00:12:34:56", "[5254.0012.3457, 525400123456]")
    (tmp_path / "a.yaml").write_text(MACHINE_YAML + "serial: S1\nuuid: " + UUID + "\n")
    (tmp_path / "b.yaml").write_text(other.replace("56", "58") + "serial: S1\n")
    (tmp_path / "c.yaml").write_text(twin)
    (tmp_path / "d.yaml").write_text(
        MACHINE_YAML.replace("db-1", "db-3").replace("56", "59") + f"uuid: {UUID.upper()}\n"
    )
    (tmp_path / "e.yaml").write_text(SITE_YAML.replace("lab", "lab2"))
    (tmp_path / "f.yaml").write_text(PROFILE_YAML)
    (tmp_path / "site.yaml").write_text(SITE_YAML + "---\n" + PROFILE_YAML)
    at = f"at {tmp_path}/"
    assert problems(tmp_path) == [
        "b.yaml:5:10: profile: there is no OSProfile 'rhel8' (did you mean rhel9?)",
        f"b.yaml:6:9: serial: S1 is also machine 'db-1', {at}a.yaml:3",
        f"c.yaml:3:7: name: Machine 'db-1' exists already, {at}a.yaml:3",
        f"c.yaml:4:23: mac[1]: 52:54:00:12:34:56 is also machine 'db-1', {at}a.yaml:3",
        f"d.yaml:6:7: uuid: {UUID} is also machine 'db-1', {at}a.yaml:3",
        f"site.yaml:2:7: kind: a second Site; the first is {at[3:]}e.yaml:3",
        f"site.yaml:7:7: name: OSProfile 'rhel9' exists already, {at}f.yaml:3",
    ]


def test_a_profile_with_a_mistake_is_not_missing_as_well(tmp_path: Path) -> None:
    broken = PROFILE_YAML.replace("release: rhel9", "release: rhel7")
    (found,) = problems(write(tmp_path, SITE_YAML, broken, MACHINE_YAML))
    assert "release: 'rhel7'" in found


def test_an_empty_folder_has_no_site(tmp_path: Path) -> None:
    (found,) = problems(tmp_path)
    assert found == f"{tmp_path}:1:1: no Site: one document of kind Site is needed"


def test_a_file_that_cannot_be_read_is_a_problem_among_others(tmp_path: Path) -> None:
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    (tmp_path / "typo.yaml").write_text("kind: Sit\n")
    assert problems(write(tmp_path, SITE_YAML)) == [
        "gone.yaml:1:1: cannot be read: No such file or directory",
        "typo.yaml:1:7: kind: no such kind 'Sit' (did you mean Site?)",
    ]


@pytest.mark.timeout(10)
def test_what_is_no_file_is_a_problem_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "null.yaml").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as bound, chdir(tmp_path):
        bound.bind("socket.yml")
    assert problems(write(tmp_path, SITE_YAML)) == [
        f"{name}:1:1: is not a regular file"
        for name in ("fifo.yaml", "folder.yaml", "null.yaml", "socket.yml")
    ]


def test_a_folder_that_cannot_be_listed_is_a_problem(readable_by_all: Path) -> None:
    folder = readable_by_all
    closed = folder / "rack"
    closed.mkdir()
    write(folder, SITE_YAML, PROFILE_YAML)
    (closed / "m.yaml").write_text(MACHINE_YAML)
    give_to_ordinary_user(folder, closed)
    profiles = infra.Profiles(folder, interval=0)
    with ordinary_user():
        assert "db-1" in profiles.current().machines
        closed.chmod(0)
        assert problems(folder) == ["rack:1:1: cannot be read: Permission denied"]
        assert "rack" in error_of(profiles)
        closed.chmod(0o700)
        (closed / "m.yaml").unlink()
        assert error_of(profiles) == ""
        closed.chmod(0)
        assert "rack" in error_of(profiles), "seen though no file came or went"
        closed.chmod(0o700)
        folder.chmod(0)
        assert "cannot be read: Permission denied" in problems(folder)[0]
        folder.chmod(0o700)


def error_of(profiles: infra.Profiles) -> str:
    with suppress(InvalidDocument):  # what stops everyone
        profiles.current()
    return profiles.error.message if profiles.error is not None else ""


@pytest.fixture
def readable_by_all() -> Iterator[Path]:
    """A folder of an ordinary user's; pytest's own is closed to others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield folder
        folder.chmod(0o700)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Gives up root's leave to read everything, if there is such a thing to give up."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def give_to_ordinary_user(*folders: Path) -> None:
    if os.geteuid() == 0:
        for folder in folders:
            os.chown(folder, NOBODY, -1)


def test_ten_thousand_machines_load_in_seconds(tmp_path: Path) -> None:
    machines = (
        MACHINE_YAML.replace("db-1", f"m{i}").replace("12:34:56", f"{i // 256:02x}:{i % 256:02x}:5")
        for i in range(10_000)
    )
    write(tmp_path, SITE_YAML, PROFILE_YAML, *(text.replace(":5\n", ":05\n") for text in machines))
    start = time.process_time()
    found = infra.load(tmp_path)
    assert time.process_time() - start < 10  # a second on the machine that this was written on
    assert len(found.machines) == 10_000
    assert found.machine_by_mac("52:54:00:27:0f:05") is found.machine("m9999")


UUID = "4c4c4544-0046-3510-8052-b4c04f4e3232"
NOBODY = 65534
