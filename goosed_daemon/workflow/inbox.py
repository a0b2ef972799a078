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
    trace: str,
    names: Mapping[str, str] | None = None,
) -> None:
    """Begins a machine's workflow, in the transaction that arms it; the one before is over.

    `names` are the machine's, its profile's and its installer's, as far as they are known. The
    caller holds the lock of the MAC.
    """
    told = names or {}
    transaction.execute("update workflows set current = false where mac = ? and current", (mac,))
    transaction.execute(
        "insert into workflows (id, mac, machine, profile, installer, current, state, step,"
        " attempt, since, began_at, trace) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            str(new_id), mac, told.get("machine", ""), told.get("profile", ""),
            told.get("installer", ""), True, RUNNING, s.ARMED, 0, now, now, trace,
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
    no workflow."""
    transaction.execute(
        "insert into observations (workflow, token, step, at, detail)"
        " select id, ?, ?, ?, ? from workflows where mac = ? and current",
        (token, step, at, json.dumps(dict(detail or {}), sort_keys=True), mac),
    )
