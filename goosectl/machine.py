"""goosectl machine: which machines may install themselves."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from goosectl import operator, output

if TYPE_CHECKING:
    from goosed_daemon.agent_rows import Agent
    from goosed_daemon.machines import Arming
    from goosed_daemon.token_rows import Token

app = typer.Typer(help="Arm machines for installation; see what they do.", no_args_is_help=True)

Machine = Annotated[
    str, typer.Argument(metavar="NAME|MAC", help="The machine's name, or its MAC in any spelling.")
]


@app.command()
def arm(
    machine: Machine,
    tries: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Boot tokens it may be given; else `arm_tries`."),
    ] = None,
) -> None:
    """Let a machine install itself at its next network boot. This erases its disk.

    Each boot token takes one try. The install's own report, or `machine disarm`, ends it.

    Example: goosectl machine arm web1
    """
    from goosed_daemon import machines
    from goosed_daemon.settings import Settings

    settings = Settings.load()
    mac, name = operator.resolve(machine)
    count = settings.arm_tries if tries is None else tries
    with operator.state() as state:
        machines.arm(state, mac, count, operator.now(), operator.actor())
    out = output.get()
    out.result(
        {"mac": mac, "name": name, "armed": True, "tries_left": count},
        text=f"{name or mac} is armed: it installs at its next network boot ({count} tries)",
    )
    if name is None:
        out.note(f"no Machine document describes {mac} yet: until one does, it boots its disk")


@app.command()
def disarm(machine: Machine) -> None:
    """Keep a machine from installing itself, and end its boot token.

    Example: goosectl machine disarm web1
    """
    from goosed_daemon import machines

    mac, name = operator.resolve(machine, needs_profiles=False)
    with operator.state() as state:
        before = machines.show(state, mac)
        machines.disarm(state, mac, operator.now(), operator.actor())
    output.get().result(
        {"mac": mac, "name": name, "armed": False, "tries_left": 0},
        text=f"{name or mac} is not armed: it boots its disk",
    )
    if name is None and before is None:
        output.get().note(f"{mac} was never armed: is it the machine's first MAC?")


@app.command("list")
def list_() -> None:
    """List the machines that profiles describe, that were ever armed or that a token waits for.

    Example: goosectl machine list
    """
    from goosed_daemon import agent_rows, machines, token_rows

    armings, waiting, agents, at = {}, {}, {}, operator.now()
    with operator.state_if_any() as state:
        if state is not None:
            armings = {arming.mac: arming for arming in machines.known(state)}
            waiting = token_rows.waiting(state, at)
            agents = {agent.mac: agent for agent in agent_rows.known(state)}
    infra = operator.infra_if_good("machines are listed by MAC alone")
    described = {m.mac[0]: m for m in infra.machines.values()} if infra is not None else {}
    rows = []
    for mac in {**described, **armings, **waiting, **agents}:
        row = _row(mac, armings.get(mac), waiting.get(mac), agents.get(mac), at)
        if machine := described.get(mac):
            row |= {"name": machine.name, "profile": machine.profile}
        rows.append(row)
    output.get().table(rows, _COLUMNS)


@app.command()
def show(
    machine: Machine,
    events: Annotated[int, typer.Option(min=0, max=1000, help="How many events.")] = 20,
) -> None:
    """Show a machine, its tokens and what happened to it last.

    Example: goosectl machine show web1
    """
    from goosectl.agent import words
    from goosed_daemon import agent_rows, audit, machines, token_rows

    mac, name = operator.resolve(machine, needs_profiles=False)
    arming, token, agent, happened, at = None, None, None, [], operator.now()
    with operator.state_if_any() as state:
        if state is not None:
            arming = machines.show(state, mac)
            token = token_rows.waiting(state, at).get(mac)
            agent = agent_rows.show(state, mac)
            happened = audit.events(state, mac=mac, limit=events) if events else []
    value = _row(mac, arming, token, agent, at) | {
        "name": name,
        "events": [
            {
                "at": operator.show(event.at),
                "event": event.kind,
                "by": event.actor,
                "token": event.token,
                **event.detail,
            }
            for event in happened
        ],
    }
    lines = [f"{name or 'no profile'}  {mac}", _words(arming, token)]
    if agent is not None:
        lines.append(words(agent, None, at))
    lines += [
        f"{operator.show(event.at)}  {event.kind}  by {event.actor}"
        + "".join(f"  {key}={text}" for key, text in event.detail.items())
        for event in happened
    ]
    output.get().result(value, text="\n".join(lines))


@app.command()
def why(machine: Machine) -> None:
    """Say what a machine would get if it asked for its boot script now, and why.

    Exit code 0 whether it would install or not. Example: goosectl machine why web1
    """
    from goosectl import simulation

    mac, name = operator.resolve(machine, needs_profiles=False)
    found = simulation.run(mac)
    told = f"{name or mac} would {simulation.verb(found)}: {found.why}"
    output.get().result(
        {"mac": mac, "name": name, "outcome": found.outcome, "why": found.why, "hint": found.hint},
        text=told if found.hint is None else f"{told}\nhint: {found.hint}",
    )


_COLUMNS = [
    ("name", "Name"),
    ("mac", "MAC"),
    ("profile", "Profile"),
    ("armed", "Armed"),
    ("tries_left", "Tries left"),
    ("state", "State"),
    ("changed_at", "Since"),
    ("token_expires_at", "Token waits until"),
    ("agent", "Agent"),
    ("seen_at", "Seen"),
]


def _row(
    mac: str, arming: Arming | None, token: Token | None, agent: Agent | None, at: datetime
) -> dict[str, object]:
    return {
        "name": None,
        "mac": mac,
        "profile": None,
        "armed": arming.armed if arming is not None else False,
        "tries_left": arming.tries_left if arming is not None else 0,
        "state": arming.reason if arming is not None else None,
        "changed_at": operator.show(arming.changed_at) if arming is not None else None,
        "token": token.id if token is not None else None,
        "token_expires_at": operator.show(token.expires_at) if token is not None else None,
        "agent": agent.state(at) if agent is not None else None,
        "seen_at": operator.show(agent.seen_at) if agent is not None else None,
    }


def _words(arming: Arming | None, token: Token | None) -> str:
    since, tries = "never armed", ""
    if arming is not None:
        since = f"{arming.reason} since {operator.show(arming.changed_at)}, by {arming.changed_by}"
        tries = f" ({arming.tries_left} tries left)" if arming.armed else ""
    if token is not None:
        until = operator.show(token.expires_at)
        return f"{since}; a token waits until {until}: it INSTALLS at its next network boot{tries}"
    if arming is None or not arming.armed:
        return f"{since}: it boots its disk"
    if arming.tries_left == 0:
        return f"{since}, but no try is left: it boots its disk"
    return f"{since}: it INSTALLS at its next network boot{tries}"
