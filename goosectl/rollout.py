"""goosectl rollout: many machines installed in waves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from goosectl import operator, output, sizes

if TYPE_CHECKING:
    from pydantic import BaseModel

    from goosed_daemon.admin.models import RolloutDetail
    from goosed_daemon.admin.operation import Operation

app = typer.Typer(help="Install many machines in waves.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ROLLOUT", help="Its id, or the newest's: `last`.")]


@app.command()
def start(
    selector: Annotated[
        list[str] | None,
        typer.Option("--selector", metavar="KEY=VALUE", help="A label they have; may be repeated."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only machines of this OSProfile.")
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Machines under way at most.")] = 10,
    max_failures: Annotated[
        int, typer.Option(min=0, help="It stops by itself when more have failed.")
    ] = 0,
    tries: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Boot tokens for each; else `arm_tries`."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the machines.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Install the selected machines, so many at once. This erases their disks.

    Each is armed when its turn comes, and installs at its next network boot. A daemon must run.

    Example: goosectl rollout start --selector role=worker --at-once 20 --max-failures 3
    """
    from goosed_daemon.admin import rollouts
    from goosed_daemon.admin.models import RolloutOrder

    order = operator.asked(
        RolloutOrder,
        selector=selector or [],
        profile=profile,
        at_once=at_once,
        max_failures=max_failures,
        tries=tries,
    )
    out = output.get()
    planned = operator.call(rollouts.START, body=order.model_copy(update={"dry_run": True}))
    if dry_run:
        _tell(planned)
        return
    names = ", ".join(item.name for item in planned.items[:8])
    more = f" and {planned.machines - 8} more" if planned.machines > 8 else ""
    machines = sizes.amount(planned.machines, "machine")
    if not out.confirm(f"Erase and install {machines} ({names}{more})?", yes=yes):
        out.result(_json(planned), text="nothing was begun")
        raise typer.Exit(1)
    begun = operator.call(rollouts.START, body=order)
    out.result(
        _json(begun),
        text=f"rollout {begun.id} has begun: {machines}, {at_once} at once",
    )


@app.command("list")
def list_() -> None:
    """List rollouts, newest first.

    Example: goosectl rollout list
    """
    from goosed_daemon.admin import rollouts
    from goosed_daemon.admin.models import Query

    page = operator.call(rollouts.LIST, query=Query())
    columns = ("id", "state", "machines", "waiting", "under_way", "ready", "failed", "words")
    output.get().table(
        [_json(item) for item in page.items],
        [(key, key.replace("_", " ").capitalize()) for key in columns],
    )


@app.command()
def status(rollout: Id = "last") -> None:
    """Show how far a rollout is, and where each of its machines is.

    Example: goosectl rollout status
    """
    from goosed_daemon.admin import rollouts

    _tell(_call(rollouts.SHOW, rollout))


@app.command()
def pause(rollout: Id = "last") -> None:
    """Arm no further machine for now; those under way go on.

    Example: goosectl rollout pause
    """
    from goosed_daemon.admin import rollouts

    _tell(_call(rollouts.PAUSE, rollout))


@app.command()
def resume(rollout: Id = "last") -> None:
    """Go on with a paused rollout.

    Example: goosectl rollout resume
    """
    from goosed_daemon.admin import rollouts

    _tell(_call(rollouts.RESUME, rollout))


@app.command()
def abort(
    rollout: Id = "last",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End a rollout: machines that have not begun are disarmed, what has begun goes on.

    Example: goosectl rollout abort --yes
    """
    from goosed_daemon.admin import rollouts

    named = _named(rollout)
    if not output.get().confirm(f"End rollout {named}?", yes=yes):
        raise typer.Exit(1)
    _tell(operator.call(rollouts.ABORT, rollout=named))


def _call(operation: Operation[RolloutDetail], rollout: str) -> RolloutDetail:
    return operator.call(operation, rollout=_named(rollout))


def _named(rollout: str) -> str:
    """The id that is meant. Raises `RolloutUnknown`."""
    if rollout != "last":
        return rollout
    from goosed_daemon.admin import rollouts
    from goosed_daemon.admin.models import Query
    from goosed_daemon.errors import RolloutUnknown

    page = operator.call(rollouts.LIST, query=Query())
    if not page.items or page.items[0].id is None:
        raise RolloutUnknown("no rollout was started yet", hint="see `goosectl rollout start`")
    return page.items[0].id


def _tell(found: RolloutDetail) -> None:
    out = output.get()
    if out.as_json:
        out.result(_json(found))
        return
    words = f": {found.words}" if found.words else ""
    out.say(f"{found.id or 'would begin'}  {found.state}{words}")
    machines = sizes.amount(found.machines, "machine")
    out.say(
        f"{machines}: {found.ready} ready, {found.under_way} under way,"
        f" {found.failed} failed, {found.waiting} wait"
    )
    out.table(
        [item.model_dump() for item in found.items],
        [("name", "Name"), ("mac", "MAC"), ("state", "State"), ("step", "Step"), ("words", "Why")],
    )


def _json(answer: BaseModel) -> dict[str, object]:
    return answer.model_dump(mode="json", exclude={"remarks"})
