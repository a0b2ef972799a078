"""The agent within rendered files: it arrives as it is, and no value breaks out of its place."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from goosed_daemon.infra import validate
from goosed_daemon.render import agent, kickstart, preseed
from goosed_daemon.render.context import AgentContext
from goosed_daemon.render.quoting import Unquotable, powershell
from tests.daemon.agent_runs import SCRIPT
from tests.daemon.infra_site import RELEASES, boot, full
from tests.parts import part

SECRET = "an-enrolment_secret-09"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def with_agent(of: Any, ca: str | None = PEM) -> Any:
    return replace(of, agent=AgentContext(of.base_url, SECRET, 300, ca))


def section(text: str) -> str:
    """The %post section that installs the agent."""
    (found,) = [
        body
        for body in re.findall(r"^%post.*?\n(.*?)^%end", text, re.MULTILINE | re.DOTALL)
        if SECRET in body
    ]
    return found


@pytest.mark.parametrize("release", [name for name in RELEASES if name.startswith("rhel")])
def test_a_kickstart_with_the_agent_is_one_its_release_takes(release: str) -> None:
    of = with_agent(full(release))
    text = kickstart.render(of)
    assert validate.check_kickstart(release, text) == []
    assert SCRIPT.read_text().strip() in section(text)


@pytest.mark.parametrize("release", [name for name in RELEASES if name.startswith("debian")])
def test_a_preseed_with_the_agent_is_one_that_debconf_takes(release: str) -> None:
    text = preseed.render(with_agent(full(release)))
    assert validate.check_preseed(text) == []
    encoded = max(re.findall(r"[A-Za-z0-9+/=]{200,}", text), key=len)
    script = base64.b64decode(encoded).decode()
    assert SCRIPT.read_text().strip() in script and SECRET in script
    assert SECRET not in text, "what a person reads there holds no secret"
    assert re.search(r"^d-i pkgsel/include string .*\bcurl\b", text, re.MULTILINE)


@pytest.mark.parametrize("release", RELEASES)
def test_without_an_agent_nothing_of_it_is_there(release: str) -> None:
    of = full(release)
    text = (kickstart if release.startswith("rhel") else preseed).render(of)
    assert "goose-agent" not in text


def test_what_installs_it_does_so(tmp_path: Path) -> None:
    """Run in a root of its own, which has busybox and nothing else."""
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy(part("busybox"), root / "bin" / "busybox")
    inside = [part("unshare"), "--map-root-user", "chroot", root, "/bin/busybox"]
    subprocess.run([*inside, "--install", "-s", "/bin"], check=True)
    (root / "install").write_text(agent.shell(with_agent(boot())))
    subprocess.run(
        [*inside, "sh", "-eu", "/install"],
        check=True, env={"PATH": "/bin:/usr/bin:/usr/sbin:/sbin"},
    )  # fmt: skip
    program = root / "usr/local/sbin/goose-agent"
    assert program.read_text() == SCRIPT.read_text()
    assert program.stat().st_mode & 0o777 == 0o755
    state = root / "var/lib/goose-agent/state"
    assert state.read_text() == f"enrolment={SECRET}\n"
    assert (state.stat().st_mode & 0o777, state.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    conf = (root / "etc/goose/agent.conf").read_text()
    assert conf == "url=http://10.0.2.2:8080\nca=/etc/goose/ca.crt\n"
    assert (root / "etc/goose/ca.crt").read_text() == PEM
    wants = root / "etc/systemd/system/timers.target.wants/goose-agent.timer"
    assert "OnUnitInactiveSec=300s\n" in wants.read_text()


def test_no_line_of_the_scripts_ends_what_holds_them() -> None:
    """A kickstart section ends at a line that begins with a per cent sign, a here-document at its
    word, a here-string of PowerShell at a quote."""
    lines = agent.shell(with_agent(boot())).splitlines()
    assert [line for line in lines if line.startswith("%")] == []
    for word in ("END_OF_CA", "END_OF_AGENT", "END_OF_SERVICE", "END_OF_TIMER"):
        assert lines.count(word) == 1
    windows = agent.powershell(with_agent(boot()))
    assert windows.isascii()
    assert [line for line in windows.splitlines() if line.startswith("'@")] == ["'@"]


@pytest.mark.parametrize("ca", ["%end\n", "x\n%post\n", "a\x07b\n"])
def test_an_authority_file_breaks_out_of_nothing(ca: str) -> None:
    with pytest.raises(Unquotable):
        agent.shell(with_agent(boot(), ca))


@pytest.mark.parametrize("quote", ["'", "\u2018", "\u2019", "\u201a", "\u201b"])
def test_every_quote_of_powershell_is_doubled(quote: str) -> None:
    assert powershell(f"a{quote}; b") == f"'a{quote * 2}; b'"
    with pytest.raises(Unquotable):
        powershell("a\nb")
