"""goosectl agent: the agents of installed machines."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.errors import UsageError
from goosectl import operator, output

if TYPE_CHECKING:
    from goosed_daemon.agent_rows import Agent
    from goosed_daemon.agents import Agents
    from goosed_daemon.enrolments import Enrolment
    from goosed_daemon.settings import Settings
    from goosed_daemon.state import State

app = typer.Typer(
    help="See which machines are alive; cut agents off, let them enrol.", no_args_is_help=True
)

Machine = Annotated[
    str, typer.Argument(metavar="NAME|MAC", help="The machine's name, or its MAC in any spelling.")
]


@app.command("list")
def list_() -> None:
    """List the agents that enrolled, and those that may enrol now.

    Example: goosectl agent list
    """
    from goosed_daemon import agent_rows, enrolments

    agents, waiting, at = {}, {}, operator.now()
    with operator.state_if_any() as state:
        if state is not None:
            agents = {agent.mac: agent for agent in agent_rows.known(state)}
            waiting = enrolments.waiting(state, at)
    infra = operator.infra_if_good("machines are listed by MAC alone")
    names = {m.mac[0]: m.name for m in infra.machines.values()} if infra is not None else {}
    rows = [
        _row(mac, names.get(mac), agents.get(mac), waiting.get(mac), at)
        for mac in sorted({**agents, **waiting})
    ]
    output.get().table(rows, _COLUMNS)


@app.command()
def show(
    machine: Machine,
    events: Annotated[int, typer.Option(min=0, max=1000, help="How many events.")] = 20,
) -> None:
    """Show a machine's agent, and what happened to it last.

    Example: goosectl agent show web1
    """
    from goosed_daemon import agent_rows, audit, enrolments
    from goosed_daemon.errors import AgentUnknown

    mac, name = operator.resolve(machine, needs_profiles=False)
    agent, waiting, happened, at = None, None, [], operator.now()
    with operator.state_if_any() as state:
        if state is not None:
            agent = agent_rows.show(state, mac)
            waiting = enrolments.waiting(state, at).get(mac)
            happened = (
                [
                    event
                    for event in audit.events(state, mac=mac, limit=1000)
                    if event.kind.startswith(("agent-", "enrolment-"))
                ][-events:]
                if events
                else []
            )
    if agent is None and waiting is None:
        raise AgentUnknown(f"no agent of {name or mac} ever enrolled")
    value = _row(mac, name, agent, waiting, at) | {
        "events": [
            {"at": operator.show(event.at), "event": event.kind, "by": event.actor, **event.detail}
            for event in happened
        ],
    }
    lines = [f"{name or 'no profile'}  {mac}", words(agent, waiting, at)]
    lines += [
        f"{operator.show(event.at)}  {event.kind}  by {event.actor}"
        + "".join(f"  {key}={text}" for key, text in event.detail.items())
        for event in happened
    ]
    output.get().result(value, text="\n".join(lines))


@app.command()
def revoke(
    machine: Machine,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Cut a machine's agent off at once, and end a leave to enrol that waits.

    The machine goes on running; `agent re-enrol` lets its agent in again.

    Example: goosectl agent revoke web1 --yes
    """
    from goosed_daemon.settings import Settings

    mac, name = operator.resolve(machine, needs_profiles=False)
    out = output.get()
    if not out.confirm(f"Cut off the agent of {name or mac}?", yes=yes):
        out.note("nothing was changed")
        raise typer.Exit(1)
    with operator.state() as state:
        agent = _agents(state, Settings.load()).revoke(mac, operator.now(), operator.actor())
    was = agent.ended if agent is not None else None
    out.result(
        {"mac": mac, "name": name, "state": was or "revoked"},
        text=f"the agent of {name or mac} was cut off before: {was}"
        if was
        else f"the agent of {name or mac} is cut off",
    )


@app.command("re-enrol")
def re_enrol(
    machine: Machine,
    ttl: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="How long the secret waits: 30m, 2h; else `enrol_ttl`."),
    ] = None,
) -> None:
    """Let the agent of a running system enrol anew, without an install.

    Shows a secret that is good for one use, here and nowhere else. The agent that there is goes on
    until it is used.

    Example: goosectl agent re-enrol web1 --ttl 1h
    """
    from goosed_daemon.setting_table import enrol_ttl
    from goosed_daemon.settings import Settings

    settings = Settings.load()
    span = settings.enrol_ttl
    if ttl is not None:
        try:
            span = enrol_ttl(ttl)
        except ValueError as error:
            raise UsageError(f"--ttl: {error}") from error
    mac, name = operator.resolve(machine, needs_profiles=False)
    at = operator.now()
    with operator.state() as state:
        secret = _agents(state, settings).permit(mac, at, span, operator.actor())
    until = operator.show(at + span)
    output.get().result(
        {"mac": mac, "name": name, "enrolment": secret, "expires_at": until, "command": _COMMAND},
        text=f"{secret}\nuntil {until} this enrols the agent of {name or mac}, once: as root there,"
        f" run `{_COMMAND}` and paste it",
    )


_COMMAND = "goose-agent enrol"
_COLUMNS = [
    ("name", "Name"),
    ("mac", "MAC"),
    ("state", "State"),
    ("seen_at", "Seen"),
    ("seen_by", "From"),
    ("expires_at", "Token until"),
    ("rotations", "Rotations"),
    ("version", "Agent"),
    ("may_enrol_until", "May enrol until"),
]


def _row(
    mac: str, name: str | None, agent: Agent | None, waiting: Enrolment | None, at: datetime
) -> dict[str, object]:
    return {
        "name": name,
        "mac": mac,
        "state": agent.state(at) if agent is not None else "not enrolled",
        "enrolled_at": operator.show(agent.enrolled_at) if agent is not None else None,
        "seen_at": operator.show(agent.seen_at) if agent is not None else None,
        "seen_by": agent.seen_by if agent is not None else None,
        "expires_at": operator.show(agent.expires_at) if agent is not None else None,
        "rotations": agent.counter if agent is not None else None,
        "refusals": agent.refusals if agent is not None else None,
        "version": agent.version if agent is not None else None,
        "may_enrol_until": operator.show(waiting.expires_at) if waiting is not None else None,
    }


def words(agent: Agent | None, waiting: Enrolment | None, at: datetime) -> str:
    """How an agent is, in one line."""
    may = f"an agent may enrol until {operator.show(waiting.expires_at)}" if waiting else ""
    if agent is None:
        return may or "no agent ever enrolled"
    state = agent.state(at)
    seen = f"seen {operator.show(agent.seen_at)}" if agent.seen_at else "never heard of"
    if agent.ended is not None:
        told = f"cut off at {operator.show(agent.ended_at)}: {agent.ended}"
    elif state == "expired":
        told = f"its token expired at {operator.show(agent.expires_at)}"
    else:
        told = f"its token lasts until {operator.show(agent.expires_at)}"
    return f"agent: {seen}, {told}" + (f"; {may}" if may else "")


def _agents(state: State, settings: Settings) -> Agents:
    from goosed_daemon import token_key
    from goosed_daemon.agents import Agents

    return Agents(state, token_key.load(settings.home.token_key), settings.agent_token_ttl)
