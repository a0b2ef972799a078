"""Operations on rollouts."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from bundles.errors import UsageError
from goosed_daemon import rollouts
from goosed_daemon.admin.machines import usable
from goosed_daemon.admin.models import (
    Query,
    Rollout,
    RolloutDetail,
    RolloutMachine,
    RolloutOrder,
    RolloutPage,
)
from goosed_daemon.admin.operation import Context, Operation
from goosed_daemon.admin_tokens import Role
from goosed_daemon.errors import ProfileInvalid, RolloutOver, RolloutUnknown
from goosed_daemon.infra.models import Machine
from goosed_daemon.infra.models.selector import Selector

KEPT = 1000  # rollouts that a list shows


def _chosen(of: Context, body: RolloutOrder) -> list[Machine]:
    """The machines that are meant, by name. Raises `ProfileInvalid` or `UsageError`."""
    infra = usable(of)
    if isinstance(infra, ProfileInvalid):
        raise infra
    if body.profile is not None and body.profile not in infra.profiles:
        raise UsageError(
            f"there is no OSProfile {body.profile!r}", hint="see `goosectl infra list`"
        )
    labels = dict(pair.split("=", 1) for pair in body.selector)
    try:
        selector = Selector.model_validate({"matchLabels": labels})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise UsageError(f"selector: {first['msg']}", hint="write it as KEY=VALUE") from error
    found = [
        machine
        for machine in infra.machines.values()
        if selector.selects(machine.labels) and body.profile in (None, machine.profile)
    ]
    if not found:
        raise UsageError(
            "no machine is selected", hint="`goosectl infra show NAME` tells a machine's labels"
        )
    return sorted(found, key=lambda machine: machine.name)


def _start(of: Context, body: RolloutOrder) -> RolloutDetail:
    chosen = _chosen(of, body)
    selector = ",".join(body.selector)
    if body.dry_run:
        waiting = [
            RolloutMachine(name=m.name, mac=m.mac[0], state="waiting", step=None, words=None)
            for m in chosen
        ]
        return RolloutDetail(
            id=None, state="not begun", words=None, selector=selector, profile=body.profile,
            at_once=body.at_once, max_failures=body.max_failures, started_at=None,
            started_by=None, machines=len(chosen), waiting=len(chosen), under_way=0, ready=0,
            failed=0, items=waiting,
        )  # fmt: skip
    begun = rollouts.start(
        of.state,
        [(machine.mac[0], machine.name) for machine in chosen],
        selector=selector,
        profile=body.profile or "",
        at_once=body.at_once,
        max_failures=body.max_failures,
        tries=of.settings.arm_tries if body.tries is None else body.tries,
        now=of.now,
        actor=of.actor,
    )
    return _show(of, begun.id)


def _show(of: Context, rollout: str) -> RolloutDetail:
    found, members = rollouts.show(of.state, rollout)
    items = [
        RolloutMachine(
            name=m.machine, mac=m.mac, state=m.state, step=m.step or None, words=m.words or None
        )
        for m in members
    ]
    row = _row(found, rollouts.tally(members))
    return RolloutDetail(**row.model_dump(), items=items)


def _list(of: Context, query: Query) -> RolloutPage:
    return RolloutPage(items=[_row(*one) for one in rollouts.known(of.state, KEPT)])


def _pause(of: Context, rollout: str) -> RolloutDetail:
    rollouts.pause(of.state, rollout, of.now, of.actor)
    return _show(of, rollout)


def _resume(of: Context, rollout: str) -> RolloutDetail:
    rollouts.resume(of.state, rollout, of.now, of.actor)
    return _show(of, rollout)


def _abort(of: Context, rollout: str) -> RolloutDetail:
    rollouts.abort(of.state, rollout, of.now, of.actor)
    return _show(of, rollout)


def _row(rollout: rollouts.Rollout, tally: rollouts.Tally) -> Rollout:
    return Rollout(
        id=rollout.id,
        state=rollout.state,
        words=rollout.words or None,
        selector=rollout.selector,
        profile=rollout.profile or None,
        at_once=rollout.at_once,
        max_failures=rollout.max_failures,
        started_at=rollout.started_at,
        started_by=rollout.started_by,
        machines=tally.all,
        waiting=tally.waiting,
        under_way=tally.under_way,
        ready=tally.ready,
        failed=tally.failed,
    )


START = Operation(
    "POST", "/v1/rollouts", Role.OPERATOR,
    "Install machines in waves: this erases their disks", RolloutDetail, _start,
    body=RolloutOrder, status=201, refusals=(ProfileInvalid,),
)  # fmt: skip
LIST = Operation(
    "GET", "/v1/rollouts", Role.VIEWER, "List rollouts", RolloutPage, _list, query=Query
)
SHOW = Operation(
    "GET", "/v1/rollouts/{rollout}", Role.VIEWER, "Show a rollout and its machines",
    RolloutDetail, _show, refusals=(RolloutUnknown,),
)  # fmt: skip
PAUSE = Operation(
    "POST", "/v1/rollouts/{rollout}/pause", Role.OPERATOR, "Arm no further machine for now",
    RolloutDetail, _pause, refusals=(RolloutUnknown, RolloutOver),
)  # fmt: skip
RESUME = Operation(
    "POST", "/v1/rollouts/{rollout}/resume", Role.OPERATOR, "Go on with a paused rollout",
    RolloutDetail, _resume, refusals=(RolloutUnknown, RolloutOver),
)  # fmt: skip
ABORT = Operation(
    "POST", "/v1/rollouts/{rollout}/abort", Role.OPERATOR,
    "End a rollout; machines that have not begun are disarmed", RolloutDetail, _abort,
    refusals=(RolloutUnknown, RolloutOver),
)  # fmt: skip

ALL: tuple[Operation[Any], ...] = (START, LIST, SHOW, PAUSE, RESUME, ABORT)
