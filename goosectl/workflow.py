"""goosectl workflow: every machine's way from armed to ready."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.errors import GooseError
from goosectl import operator, output, timeline

if TYPE_CHECKING:
    from goosed_daemon.admin.workflow_models import WorkflowDetail

app = typer.Typer(help="Follow every machine's way from armed to ready.", no_args_is_help=True)

Machine = Annotated[
    str, typer.Argument(metavar="NAME|MAC", help="The machine's name, or its MAC in any spelling.")
]


@app.command("list")
def list_(
    state: Annotated[
        str | None,
        typer.Option(metavar="STATE", help="Only these: running, ready, failed or cancelled."),
    ] = None,
) -> None:
    """List where every machine is, and what it waits for.

    Example: goosectl workflow list --state failed
    """
    from bundles.errors import UsageError
    from goosed_daemon.admin import workflows
    from goosed_daemon.admin.workflow_models import WorkflowQuery
    from goosed_daemon.workflow.model import STATES

    if state is not None and state not in STATES:
        raise UsageError(f"there is no state {state!r}", hint=f"there is: {', '.join(STATES)}")
    found = operator.pages(workflows.LIST, operator.asked(WorkflowQuery, state=state))
    output.get().table([one.model_dump(mode="json") for one in found], _COLUMNS)


@app.command()
def show(machine: Machine) -> None:
    """Show a machine's installation step by step: how long each took, beside the median of other
    machines of its profile, and which is the odd one out.

    Example: goosectl workflow show web1
    """
    found = _look(machine)
    output.get().result(timeline.value(found), text="\n".join(timeline.lines(found)))


@app.command()
def export(machine: Machine) -> None:
    """Write all that was seen of a machine's installation as one JSON object.

    Example: goosectl workflow export web1 > web1.json
    """
    import json

    found = _look(machine)
    value = timeline.value(found, facts=True)
    output.get().result(value, text=json.dumps(value, indent=2))


@app.command()
def watch(
    machine: Machine,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
) -> None:
    """Follow a machine's installation, a line a step, until it is ready, failed or cancelled.

    With --json an object a line. Exit code 0 when it is ready, 1 otherwise.

    Example: goosectl workflow watch web1
    """
    out = output.get()
    for found in _changes(machine, every):
        out.result(timeline.move(found), text=timeline.move_words(found))
    if found.state != "ready":
        raise NotReady(f"{machine} is {found.words}")


class NotReady(GooseError):
    """The installation that was watched did not end well."""

    code = "machine-not-ready"
    default_hint = "`goosectl workflow show NAME` tells what happened"


@app.command()
def cancel(machine: Machine) -> None:
    """End a machine's installation: it is disarmed and boots its disk. What runs on the machine
    already goes on there.

    Example: goosectl workflow cancel web1
    """
    from goosectl.machine import disarm

    disarm(machine)


_COLUMNS = [
    ("machine", "Machine"),
    ("mac", "MAC"),
    ("state", "State"),
    ("step", "Step"),
    ("attempt", "Attempt"),
    ("since", "Since"),
    ("words", "What it waits for, or why not"),
]


def _look(machine: str, *, again: bool = False) -> WorkflowDetail:
    from goosed_daemon.admin import workflows

    return operator.call(workflows.SHOW, again=again, machine=machine)


def _changes(machine: str, every: float) -> Iterator[WorkflowDetail]:
    """The installation now and whenever the machine moved, until it is at an end."""
    found = _look(machine)
    while True:
        yield found
        told = found.state, found.step, found.attempt, found.position
        while (found.state, found.step, found.attempt, found.position) == told:
            if found.state != "running":
                return
            time.sleep(every)
            found = _look(machine, again=True)
