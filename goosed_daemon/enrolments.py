"""Leave for an agent to enrol, once: issued with a rendered file, or by an operator for a system
that runs already."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from goosed_daemon import audit
from goosed_daemon.errors import (
    DaemonError,
    EnrolmentExpired,
    EnrolmentRevoked,
    EnrolmentUsed,
)
from goosed_daemon.state.protocol import Row, State, Transaction

COLUMNS = (
    "id, mac, issued_at, issued_to, expires_at, used, used_at, used_by, ended, ended_at, refusals"
)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One row of the enrolments table."""

    id: str
    mac: str
    issued_at: datetime
    issued_to: str
    expires_at: datetime
    used: bool
    used_at: datetime | None
    used_by: str | None
    ended: str | None
    ended_at: datetime | None
    refusals: int


def issue(
    transaction: Transaction,
    enrolment_id: str,
    mac: str,
    now: datetime,
    expires_at: datetime,
    actor: str,
) -> None:
    """Lets the machine's agent enrol until `expires_at`; a leave that was waiting is ended, since a
    machine has at most one."""
    made: list[Row] = []
    while not made:  # again when another transaction issued one in between and has committed
        end_open(transaction, mac, "superseded", now, actor)
        made = transaction.execute(
            "insert into enrolments (id, mac, issued_at, issued_to, expires_at)"
            " values (?, ?, ?, ?, ?) on conflict (mac)"
            " where not used and ended is null do nothing returning id",
            (enrolment_id, mac, now, actor, expires_at),
        )
    audit.record(
        transaction, now, "enrolment-issued", actor,
        mac=mac, enrolment=enrolment_id, expires_at=expires_at.isoformat(),
    )  # fmt: skip


def end_open(transaction: Transaction, mac: str, why: str, now: datetime, actor: str) -> bool:
    """Ends the machine's waiting enrolment; whether there was one that had not expired."""
    rows = transaction.execute(
        "update enrolments set ended = case when expires_at <= ? then 'expired' else ? end,"
        " ended_at = ? where mac = ? and not used and ended is null returning id, ended",
        (now, why, now, mac),
    )
    for enrolment_id, ended in rows:
        audit.record(
            transaction, now, "enrolment-ended", actor, mac=mac, enrolment=enrolment_id, why=ended
        )
    return any(ended == why for _, ended in rows)


def use(transaction: Transaction, enrolment_id: str, now: datetime, address: str) -> None:
    """Marks it used. The caller holds the machine's lock and has judged it."""
    transaction.execute(
        "update enrolments set used = true, used_at = ?, used_by = ? where id = ?",
        (now, address, enrolment_id),
    )


def get(transaction: Transaction, enrolment_id: str) -> Enrolment | None:
    """The enrolment with this id."""
    rows = transaction.execute(f"select {COLUMNS} from enrolments where id = ?", (enrolment_id,))
    return Enrolment(*rows[0]) if rows else None


def judge(enrolment: Enrolment, now: datetime) -> DaemonError | None:
    """Why it cannot be used at `now`; None when it can."""
    about = {"mac": enrolment.mac, "enrolment": enrolment.id}
    whose = f"this enrolment secret of {enrolment.mac}"
    if enrolment.used:
        return EnrolmentUsed(
            f"{whose} was used at {enrolment.used_at:%Y-%m-%d %H:%M:%S} UTC", **about
        )
    if enrolment.ended == "expired" or (enrolment.ended is None and enrolment.expires_at <= now):
        return EnrolmentExpired(
            f"{whose} expired at {enrolment.expires_at:%Y-%m-%d %H:%M:%S} UTC", **about
        )
    if enrolment.ended is not None:
        return EnrolmentRevoked(f"{whose} was ended: {enrolment.ended}", **about)
    return None


def waiting(state: State, now: datetime) -> dict[str, Enrolment]:
    """By MAC, the enrolments that wait for their agent."""
    with state.read() as transaction:
        rows = transaction.execute(
            f"select {COLUMNS} from enrolments where not used and ended is null and expires_at > ?",
            (now,),
        )
    return {found.mac: found for found in (Enrolment(*row) for row in rows)}
