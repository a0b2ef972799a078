"""Operations on the agents of installed machines."""

from __future__ import annotations

from typing import Any

from bundles.errors import UsageError
from goosed_daemon import agent_rows, audit, enrolments
from goosed_daemon.admin import cursor
from goosed_daemon.admin.events import event
from goosed_daemon.admin.models import (
    Agent,
    AgentDetail,
    AgentPage,
    AgentQuery,
    CutOff,
    Enrolment,
    EnrolOrder,
    ShowQuery,
)
from goosed_daemon.admin.naming import if_good, resolve
from goosed_daemon.admin.operation import Context, Operation
from goosed_daemon.admin_tokens import Role
from goosed_daemon.errors import AgentUnknown, MachineUnknown
from goosed_daemon.setting_table import enrol_ttl

COMMAND = "goose-agent enrol"  # what takes the secret of an enrolment, on the machine
_KINDS = ("agent-", "enrolment-")
_LOOKED_AT = 1000  # events of a machine


def shown(
    mac: str,
    name: str | None,
    agent: agent_rows.Agent | None,
    waiting: enrolments.Enrolment | None,
    of: Context,
) -> Agent:
    """An agent as it is shown, or that one may enrol."""
    return Agent(
        name=name,
        mac=mac,
        state=agent.state(of.now) if agent is not None else "not enrolled",
        enrolled_at=agent.enrolled_at if agent is not None else None,
        seen_at=agent.seen_at if agent is not None else None,
        seen_by=agent.seen_by if agent is not None else None,
        expires_at=agent.expires_at if agent is not None else None,
        ended_at=agent.ended_at if agent is not None else None,
        rotations=agent.counter if agent is not None else None,
        refusals=agent.refusals if agent is not None else None,
        version=agent.version if agent is not None else None,
        may_enrol_until=waiting.expires_at if waiting is not None else None,
    )


def _list(of: Context, query: AgentQuery) -> AgentPage:
    infra, remarks = if_good(of.infra, "machines are listed by MAC alone")
    names = {m.mac[0]: m.name for m in infra.machines.values()} if infra is not None else {}
    agents = {agent.mac: agent for agent in agent_rows.known(of.state)}
    waiting = enrolments.waiting(of.state, of.now)
    after = cursor.decode(query.cursor, str) or ("",)
    rows = [
        shown(mac, names.get(mac), agents.get(mac), waiting.get(mac), of)
        for mac in sorted({**agents, **waiting})
        if (mac,) > after
    ]
    found = [row for row in rows if query.state in (None, row.state)]
    page = found[: query.limit]
    following = cursor.encode(page[-1].mac) if len(found) > len(page) else None
    return AgentPage(items=page, next=following, remarks=list(remarks))


def _show(of: Context, machine: str, query: ShowQuery) -> AgentDetail:
    named = resolve(of.infra, machine, needs_profiles=False)
    agent = agent_rows.show(of.state, named.mac)
    waiting = enrolments.waiting(of.state, of.now).get(named.mac)
    if agent is None and waiting is None:
        raise AgentUnknown(f"no agent of {named.name or named.mac} ever enrolled")
    happened = [
        one
        for one in audit.newest(of.state, audit.Which(named.mac), _LOOKED_AT)
        if one.kind.startswith(_KINDS)
    ][: query.events]
    row = shown(named.mac, named.name, agent, waiting, of)
    return AgentDetail(
        **row.model_dump(),
        events=[event(one) for one in reversed(happened)],
        remarks=list(named.remarks),
    )


def _revoke(of: Context, machine: str) -> CutOff:
    named = resolve(of.infra, machine, needs_profiles=False)
    agent = of.agents().revoke(named.mac, of.now, of.actor)
    return CutOff(
        mac=named.mac,
        name=named.name,
        before=agent.ended if agent is not None else None,
        remarks=list(named.remarks),
    )


def _re_enrol(of: Context, machine: str, body: EnrolOrder) -> Enrolment:
    try:
        ttl = of.settings.enrol_ttl if body.ttl is None else enrol_ttl(body.ttl)
    except ValueError as error:
        raise UsageError(f"ttl: {error}") from error
    named = resolve(of.infra, machine, needs_profiles=False)
    return Enrolment(
        mac=named.mac,
        name=named.name,
        enrolment=of.agents().permit(named.mac, of.now, ttl, of.actor),
        expires_at=of.now + ttl,
        command=COMMAND,
        remarks=list(named.remarks),
    )


LIST = Operation(
    "GET", "/v1/agents", Role.VIEWER, "List agents, and machines whose agent may enrol", AgentPage,
    _list, query=AgentQuery,
)  # fmt: skip
SHOW = Operation(
    "GET", "/v1/agents/{machine}", Role.VIEWER, "Show a machine's agent", AgentDetail, _show,
    query=ShowQuery, refusals=(MachineUnknown, AgentUnknown),
)  # fmt: skip
REVOKE = Operation(
    "POST", "/v1/agents/{machine}/revoke", Role.OPERATOR, "Cut a machine's agent off", CutOff,
    _revoke, refusals=(MachineUnknown, AgentUnknown),
)  # fmt: skip
RE_ENROL = Operation(
    "POST", "/v1/agents/{machine}/re-enrol", Role.OPERATOR,
    "Let the agent of a running system enrol anew", Enrolment, _re_enrol, body=EnrolOrder,
    status=201, refusals=(MachineUnknown,),
)  # fmt: skip

ALL: tuple[Operation[Any], ...] = (LIST, SHOW, REVOKE, RE_ENROL)
