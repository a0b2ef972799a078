"""goosectl workflow: every machine's way from armed to ready."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from bundles.errors import GooseError
from goosectl import operator, output, timeline

if TYPE_CHECKING:
    from goosed_daemon.state import State
    from goosed_daemon.workflow.rows import Standing
    from goosed_daemon.workflow.timeline import Timeline

app = typer.Typer(help="Follow every machine's way from armed to ready.", no_args_is_help=True)

Machine = Annotated[
    str, typer.Argument(metavar="NAME|MAC", help="The machine's name, or its MAC in any spelling.")
]


class NoWorkflow(GooseError):
    """The machine was never armed, so that there is nothing to follow."""

    code = "no-workflow"
    default_hint = "`goosectl machine arm NAME` begins one; `goosectl workflow list` shows all"


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
    from goosed_daemon.workflow import rows
    from goosed_daemon.workflow.model import STATES

    if state is not None and state not in STATES:
        raise UsageError(f"there is no state {state!r}", hint=f"there is: {', '.join(STATES)}")
    with operator.state_if_any() as opened:
        found = rows.standings(opened) if opened is not None else []
    shown = [_row(one) for one in found if state in (None, one.position.state)]
    output.get().table(shown, _COLUMNS)


@app.command()
def show(machine: Machine) -> None:
    """Show a machine's installation step by step: how long each took, beside the median of other
    machines of its profile, and which is the odd one out.

    Example: goosectl workflow show web1
    """
    mac, name = operator.resolve(machine, needs_profiles=False)
    with operator.state_to_look_at() as state:
        found = _timeline(state, mac, name)
    output.get().result(timeline.value(found), text="\n".join(timeline.lines(found)))


@app.command()
def export(machine: Machine) -> None:
    """Write all that was seen of a machine's installation as one JSON object.

    Example: goosectl workflow export web1 > web1.json
    """
    import json

    mac, name = operator.resolve(machine, needs_profiles=False)
    with operator.state_to_look_at() as state:
        found = _timeline(state, mac, name)
    value = timeline.value(found) | {"facts": timeline.facts(found.workflow)}
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
    mac, name = operator.resolve(machine, needs_profiles=False)
    out = output.get()
    with operator.state_to_look_at() as state:
        for found in _changes(state, mac, name, every):
            out.result(timeline.move(found), text=timeline.move_words(found))
            last = found.position
    if last.state != "ready":
        raise NotReady(f"{name or mac} is {last.state}: {last.words or last.reason}")


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


def _row(one: Standing) -> dict[str, object]:
    from goosed_daemon.workflow.timeline import words

    where = one.position
    return {
        "machine": one.workflow.machine or None,
        "mac": one.workflow.mac,
        "profile": one.workflow.profile or None,
        "state": where.state,
        "step": where.step,
        "attempt": where.attempt,
        "since": operator.show(where.since),
        "deadline": operator.show(where.deadline),
        "reason": where.reason or None,
        "words": words(where),
    }


def _timeline(state: State, mac: str, name: str | None) -> Timeline:
    from goosed_daemon.workflow import rows, steps
    from goosed_daemon.workflow.timeline import timeline

    workflow = rows.current(state, mac)
    if workflow is None:
        raise NoWorkflow(f"{name or mac} was never armed", mac=mac)
    medians = rows.medians(state, workflow.profile, steps.STEPS)
    return timeline(workflow, operator.now(), medians)


def _changes(state: State, mac: str, name: str | None, every: float) -> Iterator[Timeline]:
    """The timeline now and whenever the machine moved, until it is at an end."""
    told = None
    while True:
        found = _timeline(state, mac, name)
        where = found.position
        if (where.state, where.step, where.attempt) != told:
            told = where.state, where.step, where.attempt
            yield found
        if where.state != "running":
            return
        time.sleep(every)
