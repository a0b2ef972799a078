"""Accounts, services and firewall: read back, or run in a folder that stands in for the system."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from bundles.errors import GooseError
from goosed_daemon.infra.models import Services, User
from goosed_daemon.render import accounts, kickstart, preseed
from tests.daemon.infra_site import FIREWALL, HASH, KEY, boot, full, profile
from tests.daemon.test_render_attacks import (
    HOSTILE,
    kickstart_options,
    kickstart_shape,
    nasty,
    preseed_shape,
)


def users(*given: dict[str, Any]) -> tuple[User, ...]:
    return tuple(User.model_validate(one) for one in given)


def run(lines: list[Any], root: Path, **programs: str) -> list[str]:
    """Run shell with stand-ins for programs; returns how they were called."""
    bin_ = root / "bin"
    bin_.mkdir()
    for name in ("useradd", "groupadd", "getent", "chown", "systemctl", "install"):
        text = programs.get(name, ":")
        echo = f'printf "%s|" {name} "$@" >>{root}/called; echo >>{root}/called'
        (bin_ / name).write_text(f"#!/bin/sh\n{echo}\n{text}\n")
        (bin_ / name).chmod(0o755)
    script = "\n".join(lines).replace("/etc/", f"{root}/etc/").replace("/home/", f"{root}/home/")
    path = f"{bin_}:{os.environ['PATH']}"
    subprocess.run(["dash", "-euc", script], check=True, env={"PATH": path})
    called = root / "called"
    return called.read_text().splitlines() if called.exists() else []


def test_debian_makes_each_account_as_it_was_asked_for(tmp_path: Path) -> None:
    asked = users(
        {
            "name": "ops",
            "groups": ["adm", "ci"],
            "uid": "2000",
            "fullName": "O. O'Ps",
            "sshKeys": [KEY],
        },
        {"name": "ci", "passwordHash": HASH, "shell": "/bin/sh"},
    )
    (tmp_path / "home" / "ops" / ".ssh").mkdir(parents=True)
    called = run(accounts.debian(asked), tmp_path, getent="exit 2")
    assert called[:3] == [
        "getent|group|adm|",
        "groupadd|--system|adm|",
        "useradd|--create-home|--shell|/bin/bash|--uid|2000|--comment|O. O'Ps|--groups|adm,ci|ops|",
    ]
    assert called[-1] == f"useradd|--create-home|--shell|/bin/sh|--password|{HASH}|ci|"
    authorized = tmp_path / "home" / "ops" / ".ssh" / "authorized_keys"
    assert authorized.read_text() == KEY + "\n"
    assert stat.S_IMODE(authorized.stat().st_mode) == 0o600


def test_sudo_is_a_file_that_only_root_reads(tmp_path: Path) -> None:
    folder = tmp_path / "etc" / "sudoers.d"
    folder.mkdir(parents=True)
    asked = users(
        {"name": "ops", "sudo": "nopasswd"},
        {"name": "dba", "sudo": "password", "passwordHash": HASH},
        {"name": "guest"},
    )
    run(accounts.sudoers(asked), tmp_path)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "50-goose-ops": "ops ALL=(ALL:ALL) NOPASSWD: ALL\n",
        "50-goose-dba": "dba ALL=(ALL:ALL) ALL\n",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o440}


def test_services_of_debian(tmp_path: Path) -> None:
    wanted = Services.model_validate({"enabled": ["a", "b@c"], "disabled": ["d"]})
    assert run(accounts.services(wanted), tmp_path) == [
        "systemctl|enable|a|b@c|",
        "systemctl|disable|d|",
    ]
    assert accounts.services(Services()) == []


@pytest.mark.parametrize("release", ["rhel8", "rhel9", "rhel10"])
def test_pykickstart_reads_accounts_services_firewall_and_packages(release: str) -> None:
    from pykickstart.parser import KickstartParser
    from pykickstart.version import makeVersion

    parser = KickstartParser(makeVersion(release.upper()))
    with pytest.warns(UserWarning, match="ssh user"):
        parser.readKickstartFromString(kickstart.render(full(release)))
    found = parser.handler
    made = {user.name: user for user in found.user.userList}
    assert (made["admin"].uid, made["admin"].gecos, made["admin"].shell) == (
        2000,
        "A. O'Admin (site)",
        "/bin/sh",
    )
    assert made["admin"].lock and not made["second"].lock
    assert set(found.firewall.services) == {"ssh", "https"}
    assert set(found.firewall.ports) == {"8080:tcp", "514:udp"}
    assert set(found.services.enabled) == {"chronyd", "serial-getty@ttyS1"}
    assert set(found.services.disabled) == {"cups"}
    assert found.packages.excludeWeakdeps
    assert found.packages.excludedList == ["iwl*"]
    assert [group.name for group in found.packages.groupList] == ["core"]


def test_a_firewall_can_be_left_out() -> None:
    assert "firewall --disabled\n" in kickstart.render(
        boot(to=profile(firewall={"enabled": "false"}))
    )


def test_debian_installs_what_sudo_and_recommendations_need() -> None:
    text = preseed.render(full("debian12"))
    assert re.search(r"pkgsel/include string .*\bsudo\b", text)
    assert "d-i base-installer/install-recommends boolean false\n" in text
    assert "install-recommends" not in preseed.render(boot(to=profile("debian12")))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"users": [{"name": "a", "sudo": "password"}]}, "a has no password that sudo"),
        ({"users": [{"name": "a", "fullName": "a:b"}]}, "is not a full name"),
        ({"users": [{"name": "a", "shell": "bash"}]}, "is not a shell"),
        ({"users": [{"name": "a", "uid": "0"}]}, "uid"),
        ({"services": {"enabled": ["a"], "disabled": ["a"]}}, "a is both enabled and disabled"),
        ({"services": {"enabled": ["a b"]}}, "is not a service"),
        ({"firewall": {"ports": ["99999/tcp"]}}, "'99999/tcp' is not a port"),
        ({"firewall": {"ports": ["80"]}}, "'80' is not a port"),
        ({"firewall": {"services": ["a,b"]}}, "is not a service of firewalld"),
    ],
)
def test_mistake_in_accounts_services_or_firewall(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        profile(**fields)


def test_preseed_knows_no_firewall() -> None:
    with pytest.raises(ValidationError, match="means nothing to preseed"):
        profile("debian12", firewall=FIREWALL)


@given(HOSTILE)
@nasty
def test_no_text_of_an_account_breaks_out_of_its_line(value: str) -> None:
    for release, render, shape in (
        ("rhel9", kickstart.render, kickstart_shape),
        ("debian12", preseed.render, preseed_shape),
    ):
        whole = full(release)
        ops = whole.profile.users[2]
        for field in ("name", "full_name", "shell"):
            tampered = ops.model_copy(update={field: value})
            listed = (*whole.profile.users[:2], tampered, *whole.profile.users[3:])
            changed = whole.profile.model_copy(update={"users": listed})
            try:
                text = render(boot(whole.site, changed, whole.machine))
            except GooseError:
                continue
            assert set(shape(text)) <= set(shape(render(whole)))
            if value and release == "rhel9":
                assert kickstart_options(text) == kickstart_options(render(whole))


def test_every_scriptlet_of_a_kickstart_is_shell() -> None:
    from pykickstart.parser import KickstartParser
    from pykickstart.version import makeVersion

    assert shutil.which("dash")
    for release in ("rhel8", "rhel9", "rhel10"):
        parser = KickstartParser(makeVersion(release.upper()))
        with pytest.warns(UserWarning, match="ssh user"):
            parser.readKickstartFromString(kickstart.render(full(release)))
        scripts = [script.script for script in parser.handler.scripts]
        assert len(scripts) >= 6
        for script in scripts:
            subprocess.run(["dash", "-n"], input=script, text=True, check=True)
