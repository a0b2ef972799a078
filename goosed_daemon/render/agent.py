"""The agent of installed systems: what a rendered file does to install it.

Whatever renders a file for an installer puts `shell` (POSIX sh, run as root in the new system) or
`powershell` (run as SYSTEM or an administrator) where the system's own programs can be run.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from goosed_daemon.render import templates
from goosed_daemon.render.context import AgentContext, BootContext


def shell(boot: BootContext) -> str:
    """The lines that install the agent on Linux; empty where the machine gets none. It needs curl,
    coreutils and systemd. Raises `Unquotable`."""
    if boot.agent is None:
        return ""
    timer = templates.get("agent/goose-agent.timer.j2").render(
        interval=boot.agent.interval, delay=_delay(boot.agent)
    )
    return templates.get("agent/install.sh.j2").render(
        boot=boot,
        agent=boot.agent,
        script=_file("goose-agent.sh"),
        service=_file("goose-agent.service"),
        timer=timer.rstrip("\n"),
    )


def powershell(boot: BootContext) -> str:
    """The lines that install the agent on Windows; empty where the machine gets none. They need
    Windows PowerShell 5.1. Raises `Unquotable`."""
    if boot.agent is None:
        return ""
    return templates.get("agent/install.ps1.j2").render(
        boot=boot,
        agent=boot.agent,
        interval=boot.agent.interval,
        delay=_delay(boot.agent),
        script=_file("goose-agent.ps1"),
    )


def _delay(agent: AgentContext) -> int:
    """Seconds by which rounds are spread, so that machines do not come together."""
    return max(1, agent.interval // 10)


@cache
def _file(name: str) -> str:
    folder = resources.files("goosed_daemon.render") / "templates" / "agent"
    return (folder / name).read_text(encoding="utf-8").rstrip("\n")
