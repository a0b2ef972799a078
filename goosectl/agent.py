"""goosectl agent: the agents of installed machines."""

from __future__ import annotations

from typing import Annotated

import typer

from bundles.errors import UsageError
from goosectl import operator, output

app = typer.Typer(
    help="See which machines are alive; cut agents off, let them enrol.", no_args_is_help=True
)

Machine = Annotated[
    str, typer.Argument(metavar="NAME|MAC", help="The machine's name, or its MAC in any spelling.")
]


@app.command("list")
def list_(
    state: Annotated[
        str | None, typer.Option(help="Only those in this state, such as active.")
    ] = None,
) -> None:
    """List the agents that enrolled, and those that may enrol now.

    Example: goosectl agent list
    """
    from goosed_daemon.admin import agents
    from goosed_daemon.admin.models import AgentQuery

    query = operator.asked(AgentQuery, state=state)
    rows = [item.model_dump(mode="json") for item in operator.pages(agents.LIST, query)]
    output.get().table(rows, _COLUMNS)


@app.command()
def show(
    machine: Machine,
    events: Annotated[int, typer.Option(min=0, max=1000, help="How many events.")] = 20,
) -> None:
    """Show a machine's agent, and what happened to it last.

    Example: goosectl agent show web1
    """
    from goosectl import machine_words
    from goosed_daemon.admin import agents
    from goosed_daemon.admin.models import ShowQuery

    found = operator.call(agents.SHOW, query=ShowQuery(events=events), machine=machine)
    value = found.model_dump(mode="json", exclude={"remarks"})
    lines = [f"{found.name or 'no profile'}  {found.mac}", machine_words.agent(found)]
    output.get().result(
        value | {"events": machine_words.rows(found.events)},
        text="\n".join([*lines, *machine_words.events(found.events)]),
    )


@app.command()
def revoke(
    machine: Machine,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Cut a machine's agent off at once, and end a leave to enrol that waits.

    The machine goes on running; `agent re-enrol` lets its agent in again.

    Example: goosectl agent revoke web1 --yes
    """
    from goosed_daemon.admin import agents

    out = output.get()
    if not out.confirm(f"Cut off the agent of {machine}?", yes=yes):
        out.note("nothing was changed")
        raise typer.Exit(1)
    done = operator.call(agents.REVOKE, machine=machine)
    named, was = done.name or done.mac, done.before
    out.result(
        {"mac": done.mac, "name": done.name, "state": was or "revoked"},
        text=f"the agent of {named} was cut off before: {was}"
        if was
        else f"the agent of {named} is cut off",
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
    from goosed_daemon.admin import agents
    from goosed_daemon.admin.models import EnrolOrder
    from goosed_daemon.setting_table import enrol_ttl

    if ttl is not None:
        try:
            enrol_ttl(ttl)
        except ValueError as error:
            raise UsageError(f"--ttl: {error}") from error
    done = operator.call(agents.RE_ENROL, body=EnrolOrder(ttl=ttl), machine=machine)
    output.get().result(
        done.model_dump(mode="json", exclude={"remarks"}),
        text=f"{done.enrolment}\nuntil {operator.show(done.expires_at)} this enrols the agent of"
        f" {done.name or done.mac}, once: as root there, run `{done.command}` and paste it",
    )


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
