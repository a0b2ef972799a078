"""Forgets a machine: what the state keeps of it goes, but for the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from goosed_daemon import audit, machines
from goosed_daemon.errors import MachineUnknown
from goosed_daemon.state.protocol import State, Transaction

_WORKFLOWS = "workflow in (select id from workflows where mac = ?)"

#: What belongs to a machine's workflows, and goes with them.
PARTS = {"observations": _WORKFLOWS, "facts": _WORKFLOWS, "step_times": _WORKFLOWS}

#: Which rows of which table are a machine's.
TABLES = {
    "rollout_machines": "mac = ?",
    "receipts": "mac = ?",
    "workflows": "mac = ?",
    "tokens": "mac = ?",
    "agents": "mac = ?",
    "enrolments": "mac = ?",
    "machines": "mac = ?",
    "places": "mac = ?",
    "refusals": "mac = ?",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """What the state keeps of a machine."""

    armed: bool
    waiting: str | None  # the id of the boot token that waits for it
    rows: Mapping[str, int]  # by table


def kept(state: State, mac: str, now: datetime) -> Kept:
    """What is there to forget. Raises `MachineUnknown` when it is nothing."""
    with state.read() as transaction:
        return _kept(transaction, mac, now)


def forget(state: State, mac: str, now: datetime, actor: str) -> Kept:
    """Disarms the machine, ends its waiting token, and removes its rows; an install that is under
    way can report no more, and its agent is cut off. Raises `MachineUnknown` when nothing is known
    of it."""
    with state.write(lock=mac) as transaction:
        found = _kept(transaction, mac, now)
        # Holds its workflows against an orchestrator, which would add facts to what goes.
        transaction.execute("update workflows set current = false where mac = ?", (mac,))
        machines.end_open(transaction, mac, "forgotten", now, actor)
        for table, which in {**PARTS, **TABLES}.items():
            transaction.execute(f"delete from {table} where {which}", (mac,))
        audit.record(transaction, now, "machine-forgotten", actor, mac=mac, rows=dict(found.rows))
    return found


def _kept(transaction: Transaction, mac: str, now: datetime) -> Kept:
    rows = {}
    for table, which in TABLES.items():
        ((count,),) = transaction.execute(f"select count(*) from {table} where {which}", (mac,))
        rows[table] = count
    if not any(rows.values()):
        raise MachineUnknown(
            f"the state holds nothing of {mac}",
            hint="its Machine document, if it has one, is what `goosectl infra list` shows",
            mac=mac,
        )
    arming = machines.arming(transaction, mac)
    waiting = transaction.execute(
        "select id from tokens where mac = ? and not used and ended is null and expires_at > ?",
        (mac, now),
    )
    return Kept(arming is not None and arming.armed, waiting[0][0] if waiting else None, rows)
