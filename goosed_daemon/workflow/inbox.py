"""Observations on their way to an orchestrator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from goosed_daemon.state.protocol import Transaction
from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.model import RUNNING


def begin(
    transaction: Transaction,
    mac: str,
    now: datetime,
    new_id: UUID,
) -> None:
    """Begins a machine's workflow, in the transaction that arms it; the one before is over.

    `new_id` is random; the trace of the workflow has its digits. The caller holds the lock of the
    MAC.
    """
    transaction.execute("update workflows set current = false where mac = ? and current", (mac,))
    transaction.execute(
        "insert into workflows (id, mac, machine, profile, installer, current, state, step,"
        " attempt, since, began_at, trace) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            str(new_id), mac, "", "", "", True, RUNNING, s.ARMED, 0, now, now, new_id.hex,
        ),
    )  # fmt: skip


def observe(
    transaction: Transaction,
    mac: str,
    step: str,
    at: datetime,
    token: str = "",
    detail: Mapping[str, str] | None = None,
) -> None:
    """Notes that a machine was seen at `step`. Costs one insert, and nothing where the machine has
    no workflow or is ready, which is the end of one."""
    transaction.execute(
        "insert into observations (workflow, token, step, at, detail)"
        " select id, ?, ?, ?, ? from workflows where mac = ? and current and state <> 'ready'",
        (token, step, at, json.dumps(dict(detail or {}), sort_keys=True), mac),
    )
