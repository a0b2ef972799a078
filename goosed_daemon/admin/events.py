"""Operations on the audit log."""

from __future__ import annotations

from typing import Any

from goosed_daemon import audit, audit_chain
from goosed_daemon.admin import cursor
from goosed_daemon.admin.models import (
    Anchor,
    Event,
    EventPage,
    EventQuery,
    PageQuery,
    Refusal,
    RefusalPage,
    Verification,
    VerifyOrder,
)
from goosed_daemon.admin.naming import resolve
from goosed_daemon.admin.operation import Context, Operation
from goosed_daemon.admin_tokens import Role
from goosed_daemon.errors import MachineUnknown


def event(one: audit.Event) -> Event:
    """An event as it is shown."""
    return Event(
        id=one.id,
        at=one.at,
        kind=one.kind,
        actor=one.actor,
        mac=one.mac,
        token=one.token,
        detail=dict(one.detail),
    )


def _list(of: Context, query: EventQuery) -> EventPage:
    remarks: tuple[str, ...] = ()
    mac = None
    if query.machine is not None:
        named = resolve(of.infra, query.machine, needs_profiles=False)
        mac, remarks = named.mac, named.remarks
    place = cursor.decode(query.cursor, int)
    which = audit.Which(
        mac, query.kind, query.actor, query.since, query.until, int(place[0]) if place else None
    )
    found = audit.newest(of.state, which, query.limit + 1)
    shown = found[: query.limit]
    following = cursor.encode(shown[-1].id) if len(found) > len(shown) else None
    return EventPage(items=[event(one) for one in shown], next=following, remarks=list(remarks))


def _refusals(of: Context, query: PageQuery) -> RefusalPage:
    place = cursor.decode(query.cursor, str, str, str, str)
    before = None
    if place is not None:
        before = cursor.time(place[0]), str(place[1]), str(place[2]), str(place[3])
    found = audit.refusals(of.state, query.limit + 1, before)
    shown = found[: query.limit]
    following = None
    if len(found) > len(shown):
        last = shown[-1]
        following = cursor.encode(last.last_at, last.reason, last.mac, last.address)
    return RefusalPage(
        items=[
            Refusal(
                reason=one.reason,
                mac=one.mac,
                address=one.address,
                count=one.count,
                first_at=one.first_at,
                last_at=one.last_at,
            )
            for one in shown
        ],
        next=following,
    )


def _verify(of: Context, body: VerifyOrder) -> Verification:
    if body.seal:
        audit_chain.seal(of.state, of.now)
    known = None
    if body.anchor is not None:
        known = audit_chain.Anchor(body.anchor.seal, body.anchor.digest)
    found = audit_chain.verify(of.state, known)
    last = found.last
    return Verification(
        seals=found.seals,
        sealed=found.sealed,
        waiting=found.waiting,
        faults=list(found.faults),
        last=Anchor(seal=last.number, digest=last.digest) if last is not None else None,
    )


LIST = Operation(
    "GET", "/v1/audit", Role.VIEWER, "Read the audit log", EventPage, _list, query=EventQuery,
    refusals=(MachineUnknown,),
)  # fmt: skip
REFUSALS = Operation(
    "GET", "/v1/audit/refusals", Role.VIEWER, "List strangers that were refused, by count",
    RefusalPage, _refusals, query=PageQuery,
)  # fmt: skip
VERIFY = Operation(
    "POST", "/v1/audit/verify", Role.VIEWER, "Check that nobody changed the audit log",
    Verification, _verify, body=VerifyOrder,
)  # fmt: skip

ALL: tuple[Operation[Any], ...] = (LIST, REFUSALS, VERIFY)
