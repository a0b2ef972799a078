"""goosectl machine: which machines may install themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from goosectl import operator, output

if TYPE_CHECKING:
    from goosed_daemon.machines import Arming

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

    mac, name = operator.resolve(machine)
    with operator.state() as state:
        machines.disarm(state, mac, operator.now(), operator.actor())
    output.get().result(
        {"mac": mac, "name": name, "armed": False, "tries_left": 0},
        text=f"{name or mac} is not armed: it boots its disk",
    )


@app.command("list")
def list_() -> None:
    """List the machines that profiles describe or that were ever armed.

    Example: goosectl machine list
    """
    from goosed_daemon import machines

    with operator.state() as state:
        armings = {arming.mac: arming for arming in machines.known(state)}
    infra = operator.infra()
    rows = []
    for machine in infra.machines.values() if infra is not None else ():
        mac = machine.mac[0]
        row = _row(mac, armings.pop(mac, None))
        rows.append(row | {"name": machine.name, "profile": machine.profile})
    rows += [_row(mac, arming) for mac, arming in armings.items()]
    output.get().table(rows, _COLUMNS)


@app.command()
def show(
    machine: Machine,
    events: Annotated[int, typer.Option(min=0, max=1000, help="How many events.")] = 20,
) -> None:
    """Show a machine, its tokens and what happened to it last.

    Example: goosectl machine show web1
    """
    from goosed_daemon import audit, machines

    mac, name = operator.resolve(machine)
    with operator.state() as state:
        arming = machines.show(state, mac)
        happened = audit.events(state, mac=mac, limit=events) if events else []
    value = _row(mac, arming) | {
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
    lines = [f"{name or 'no profile'}  {mac}", _words(arming)]
    lines += [
        f"{operator.show(event.at)}  {event.kind}  by {event.actor}"
        + "".join(f"  {key}={text}" for key, text in event.detail.items())
        for event in happened
    ]
    output.get().result(value, text="\n".join(lines))


_COLUMNS = [
    ("name", "Name"),
    ("mac", "MAC"),
    ("profile", "Profile"),
    ("armed", "Armed"),
    ("tries_left", "Tries left"),
    ("state", "State"),
    ("changed_at", "Since"),
]


def _row(mac: str, arming: Arming | None) -> dict[str, object]:
    return {
        "name": None,
        "mac": mac,
        "profile": None,
        "armed": arming.armed if arming is not None else False,
        "tries_left": arming.tries_left if arming is not None else 0,
        "state": arming.reason if arming is not None else None,
        "changed_at": operator.show(arming.changed_at) if arming is not None else None,
    }


def _words(arming: Arming | None) -> str:
    if arming is None:
        return "never armed: it boots its disk"
    since = f"since {operator.show(arming.changed_at)}, by {arming.changed_by}"
    if not arming.armed:
        return f"{arming.reason} {since}: it boots its disk"
    if arming.tries_left == 0:
        return f"armed {since}, but no try is left: it boots its disk once its token is spent"
    return f"armed {since}: it installs at its next network boot ({arming.tries_left} tries left)"
