"""Which machines may install themselves.

A machine is armed by an operator for a number of tries. Each boot token issued to it takes one;
its install's own report, or an operator, disarms it. So no machine reinstalls in a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from goosed_daemon import audit, workflow
from goosed_daemon.state.protocol import State, Transaction
from goosed_daemon.workflow import steps
from goosed_daemon.workflow.transition import PHASE


@dataclass(frozen=True, slots=True)
class Arming:
    """What the state knows about one machine."""

    mac: str
    armed: bool
    tries_left: int
    changed_at: datetime
    changed_by: str
    reason: str  # armed, disarmed or installed


MAX_REPORTS = 20  # audit events of one install
_STEPS = {
    "started": steps.INSTALLING,
    "failed": steps.FAILED,
    "installed": steps.INSTALLED,
}
_LAST = ("failed", "installed")  # which is seen however much was reported before
_COLUMNS = "mac, armed, tries_left, changed_at, changed_by, reason"


def arm(
    state: State,
    mac: str,
    tries: int,
    now: datetime,
    actor: str,
    new_id: Callable[[], UUID] = uuid4,
) -> None:
    """Lets the machine install itself; it may be given `tries` boot tokens. `new_id` gives the id
    of the workflow that begins."""
    with state.write(lock=mac) as transaction:
        _arm(transaction, mac, tries, now, actor, new_id())


def arm_once(
    transaction: Transaction, mac: str, tries: int, now: datetime, actor: str, workflow_id: UUID
) -> bool:
    """Arms the machine, whose lock is held, unless this workflow began before; whether it did so
    now."""
    if transaction.execute("select 1 from workflows where id = ?", (str(workflow_id),)):
        return False
    _arm(transaction, mac, tries, now, actor, workflow_id)
    return True


def disarm(state: State, mac: str, now: datetime, actor: str, reason: str = "disarmed") -> None:
    """Ends the machine's leave to install itself, and its token if one is waiting."""
    with state.write(lock=mac) as transaction:
        _set(transaction, mac, False, 0, now, actor, reason)
        words = {"words": f"{reason} by {actor}", "reason": reason}
        workflow.observe(transaction, mac, steps.CANCELLED, now, detail=words)


def report(state: State, mac: str, step: str, now: datetime, actor: str, token: str) -> None:
    """Records what the install begun by `token` says of itself: `started`, how far it is, `failed`
    or `installed`, which disarms the machine."""
    with state.write(lock=mac) as transaction:
        ((count,),) = transaction.execute(
            "select count(*) from events where mac = ? and token = ? and kind like 'install-%'",
            (mac, token),
        )
        if count < MAX_REPORTS:
            audit.record(transaction, now, f"install-{step}", actor, mac=mac, token=token)
        if count < MAX_REPORTS or step in _LAST:
            workflow.observe(transaction, mac, _STEPS.get(step, PHASE + step), now, token)
        before = arming(transaction, mac)
        if step == "installed" and before is not None and before.armed:
            _set(transaction, mac, False, 0, now, actor, "installed")


def arming(transaction: Transaction, mac: str) -> Arming | None:
    """What is known of one machine, within a transaction."""
    rows = transaction.execute(f"select {_COLUMNS} from machines where mac = ?", (mac,))
    return Arming(*rows[0]) if rows else None


def show(state: State, mac: str) -> Arming | None:
    """What is known of one machine; None when it was never armed."""
    with state.read() as transaction:
        return arming(transaction, mac)


def known(state: State) -> list[Arming]:
    """Every machine that was ever armed, by MAC."""
    with state.read() as transaction:
        rows = transaction.execute(f"select {_COLUMNS} from machines order by mac")
    return [Arming(*row) for row in rows]


def take_try(transaction: Transaction, mac: str) -> int:
    """Counts one try down and gives how many are left."""
    rows = transaction.execute(
        "update machines set tries_left = tries_left - 1 where mac = ? returning tries_left",
        (mac,),
    )
    return int(rows[0][0])


def _arm(
    transaction: Transaction, mac: str, tries: int, now: datetime, actor: str, workflow_id: UUID
) -> None:
    _set(transaction, mac, True, tries, now, actor, "armed")
    workflow.begin(transaction, mac, now, workflow_id)


def _set(
    transaction: Transaction,
    mac: str,
    armed: bool,
    tries: int,
    now: datetime,
    actor: str,
    reason: str,
) -> None:
    transaction.execute(
        f"insert into machines ({_COLUMNS}) values (?, ?, ?, ?, ?, ?)"
        " on conflict (mac) do update set armed = excluded.armed,"
        " tries_left = excluded.tries_left, changed_at = excluded.changed_at,"
        " changed_by = excluded.changed_by, reason = excluded.reason",
        (mac, armed, tries, now, actor, reason),
    )
    tries_shown = tries if armed else None
    audit.record(transaction, now, f"machine-{reason}", actor, mac=mac, tries=tries_shown)
    if not armed:
        end_open(transaction, mac, reason, now, actor)


def end_open(
    transaction: Transaction,
    mac: str,
    why: str,
    now: datetime,
    actor: str,
    token: str | None = None,
) -> None:
    """Ends the machine's waiting token, if it has one (and it is `token`), and records why:
    `expired` when its time was over already, otherwise `why`."""
    which, parameters = ("mac = ? and id = ?", (mac, token)) if token else ("mac = ?", (mac,))
    rows = transaction.execute(
        "update tokens set ended = case when expires_at <= ? then 'expired' else ? end,"
        f" ended_at = ? where {which} and not used and ended is null returning id, ended",
        (now, why, now, *parameters),
    )
    for token_id, ended in rows:
        audit.record(transaction, now, "token-ended", actor, mac=mac, token=token_id, why=ended)
