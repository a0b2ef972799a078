"""Operations on workflows: where every machine is, and how it came there."""

from __future__ import annotations

from typing import Any

from goosed_daemon.admin import cursor
from goosed_daemon.admin.naming import if_good, resolve
from goosed_daemon.admin.operation import Context, Operation
from goosed_daemon.admin.workflow_models import (
    WorkflowDetail,
    WorkflowFact,
    WorkflowOdd,
    WorkflowPage,
    WorkflowPhase,
    WorkflowQuery,
    WorkflowRow,
    WorkflowStep,
)
from goosed_daemon.admin_tokens import Role
from goosed_daemon.errors import NoWorkflow
from goosed_daemon.workflow import rows, steps
from goosed_daemon.workflow.model import RUNNING, Position, Workflow
from goosed_daemon.workflow.timeline import Entry, timeline, words


def _list(of: Context, query: WorkflowQuery) -> WorkflowPage:
    place = cursor.decode(query.cursor, str)
    found = rows.standings(
        of.state,
        limit=query.limit + 1,
        after=str(place[0]) if place else "",
        of_state=query.state,
    )
    shown = found[: query.limit]
    queue = of.places().positions(of.now)
    return WorkflowPage(
        items=[
            WorkflowRow.model_validate(
                _where(one.workflow, one.position)
                | _turn(one.position, queue.get(one.workflow.mac))
            )
            for one in shown
        ],
        next=cursor.encode(shown[-1].workflow.mac) if len(found) > len(shown) else None,
    )


def _show(of: Context, machine: str) -> WorkflowDetail:
    named = resolve(of.infra, machine, needs_profiles=False)
    workflow = rows.current(of.state, named.mac)
    if workflow is None:
        raise NoWorkflow(f"{named.name or named.mac} was never armed", mac=named.mac)
    medians = rows.medians(of.state, workflow.profile, steps.STEPS)
    told = timeline(workflow, of.now, medians)
    odd = told.oddest
    # What an orchestrator last made of it knows the limits of the machine's profile.
    deadline = rows.deadline(of.state, workflow.id, told.position)
    infra, _ = if_good(of.infra, "")
    described = infra.machine_by_mac(named.mac) if infra is not None else None
    profile = described.profile if described is not None else workflow.profile
    wait = of.places().queued(named.mac, profile, of.now)
    return WorkflowDetail.model_validate(
        _where(workflow, told.position)
        | (_turn(told.position, wait.position, wait.words) if wait is not None else {})
        | {
            "deadline": deadline,
            "began_at": workflow.began_at,
            "installer": workflow.installer or None,
            "steps": [_step(entry) for entry in told.entries],
            "odd": None if odd is None else WorkflowOdd(attempt=odd.attempt, step=odd.step),
            "facts": [
                WorkflowFact(
                    at=fact.at, step=fact.step, token=fact.token or None, detail=dict(fact.detail)
                )
                for fact in sorted(workflow.facts, key=lambda fact: (fact.at, fact.step))
            ],
            "remarks": list(named.remarks),
        }
    )


def _where(workflow: Workflow, where: Position) -> dict[str, Any]:
    return {
        "workflow": workflow.id,
        "mac": workflow.mac,
        "machine": workflow.machine or None,
        "profile": workflow.profile or None,
        "trace": workflow.trace,
        "state": where.state,
        "step": where.step,
        "attempt": where.attempt,
        "since": where.since,
        "deadline": where.deadline,
        "reason": where.reason or None,
        "words": words(where),
    }


def _turn(where: Position, position: int | None, told: str = "") -> dict[str, Any]:
    """What is different for a machine in the queue: it waits for its turn, whatever came before."""
    if position is None:
        return {}
    waits = told or f"waiting for its turn to install, position {position}"
    over = f"{words(where)}; now " if where.state != RUNNING else ""
    return {"position": position, "words": over + waits}


def _step(entry: Entry) -> WorkflowStep:
    return WorkflowStep(
        attempt=entry.attempt,
        step=entry.step,
        began_at=entry.began_at,
        seconds=round(entry.seconds, 3),
        outcome=entry.outcome,
        median_seconds=entry.median,
        odd=entry.odd,
        phases=[WorkflowPhase(phase=phase, at=at) for phase, at in entry.phases],
    )


LIST = Operation(
    "GET", "/v1/workflows", Role.VIEWER, "List where every machine is", WorkflowPage, _list,
    query=WorkflowQuery,
)  # fmt: skip
SHOW = Operation(
    "GET", "/v1/workflows/{machine}", Role.VIEWER, "Show a machine's installation step by step",
    WorkflowDetail, _show, refusals=(NoWorkflow,),
)  # fmt: skip

ALL: tuple[Operation[Any], ...] = (LIST, SHOW)
