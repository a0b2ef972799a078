"""goosectl machine: which machines may install themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from goosectl import operator, output, sizes

if TYPE_CHECKING:
    from pydantic import BaseModel

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
    from goosed_daemon.admin import machines
    from goosed_daemon.admin.models import ArmOrder

    done = operator.call(machines.ARM, body=ArmOrder(tries=tries), machine=machine)
    output.get().result(
        _json(done),
        text=f"{done.name or done.mac} is armed: it installs at its next network boot"
        f" ({sizes.amount(done.tries_left, 'try', 'tries')})",
    )


@app.command()
def disarm(machine: Machine) -> None:
    """Keep a machine from installing itself, and end its boot token.

    Example: goosectl machine disarm web1
    """
    from goosed_daemon.admin import machines

    done = operator.call(machines.DISARM, machine=machine)
    output.get().result(
        _json(done), text=f"{done.name or done.mac} is not armed: it boots its disk"
    )


@app.command()
def forget(
    machine: Machine,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be forgotten.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Disarm a machine and drop all that the state holds of it: tries, tokens, refusals.

    Its Machine document and the audit log stay. An install that is under way reports no more.

    Example: goosectl machine forget web1
    """
    from goosectl import machine_words
    from goosed_daemon.admin import machines
    from goosed_daemon.admin.models import ForgetQuery

    out = output.get()
    found = operator.call(machines.FORGET, query=ForgetQuery(dry_run=True), machine=machine)
    text = machine_words.forgotten(found)
    if dry_run:
        out.result(_json(found), text=f"would forget {text}")
        return
    if not out.confirm(f"Forget {text}?", yes=yes):
        out.result(_json(found), text="nothing was forgotten")
        raise typer.Exit(1)
    done = operator.call(machines.FORGET, query=ForgetQuery(), machine=machine)
    out.result(_json(done), text=f"forgot {machine_words.forgotten(done)}")


@app.command("list")
def list_(
    armed: Annotated[bool | None, typer.Option("--armed/--not-armed", help="Only these.")] = None,
    profile: Annotated[str | None, typer.Option(help="Only those of this OSProfile.")] = None,
    label: Annotated[
        str | None, typer.Option(metavar="KEY=VALUE", help="Only those with this label.")
    ] = None,
    outcome: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Only those that would get this: install, or a reason."),
    ] = None,
) -> None:
    """List the machines that profiles describe, that were ever armed or that a token waits for.

    "Next boot" is what each would get now; `machine why` says it in words.

    Example: goosectl machine list
    """
    from goosed_daemon.admin import machines
    from goosed_daemon.admin.models import MachineQuery

    query = operator.asked(MachineQuery, armed=armed, profile=profile, label=label, outcome=outcome)
    rows = [_json(item) for item in operator.pages(machines.LIST, query)]
    output.get().table(rows, _COLUMNS)


@app.command()
def show(
    machine: Machine,
    events: Annotated[int, typer.Option(min=0, max=1000, help="How many events.")] = 20,
) -> None:
    """Show a machine, its tokens and what happened to it last.

    Example: goosectl machine show web1
    """
    from goosectl import machine_words
    from goosed_daemon.admin import machines
    from goosed_daemon.admin.models import ShowQuery

    found = operator.call(machines.SHOW, query=ShowQuery(events=events), machine=machine)
    value = _json(found) | {"events": machine_words.rows(found.events)}
    output.get().result(value, text="\n".join(machine_words.lines(found)))


@app.command()
def why(
    machine: Machine,
    uuid: Annotated[str | None, typer.Option(help="The UUID it reports.")] = None,
    serial: Annotated[str | None, typer.Option(help="The serial number it reports.")] = None,
) -> None:
    """Say what a machine would get if it asked for its boot script now, and why.

    Exit code 0 whether it would install or not. Example: goosectl machine why web1
    """
    from goosectl.machine_words import verb
    from goosed_daemon.admin import machines
    from goosed_daemon.admin.models import WhyQuery

    query = operator.asked(WhyQuery, uuid=uuid, serial=serial)
    found = operator.call(machines.WHY, query=query, machine=machine)
    told = f"{found.name or found.mac} would {verb(found.outcome)}: {found.why}"
    output.get().result(
        _json(found), text=told if found.hint is None else f"{told}\nhint: {found.hint}"
    )


def _json(answer: BaseModel) -> dict[str, object]:
    return answer.model_dump(mode="json", exclude={"remarks"})


_COLUMNS = [
    ("name", "Name"),
    ("mac", "MAC"),
    ("profile", "Profile"),
    ("armed", "Armed"),
    ("tries_left", "Tries left"),
    ("state", "State"),
    ("changed_at", "Since"),
    ("token_expires_at", "Token waits until"),
    ("outcome", "Next boot"),
    ("agent", "Agent"),
    ("seen_at", "Seen"),
]
