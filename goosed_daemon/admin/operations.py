"""Every operation there is."""

from __future__ import annotations

from typing import Any

from goosed_daemon.admin import (
    agents,
    bearers,
    boot_tokens,
    bundle_list,
    events,
    machines,
    receipts,
    rollouts,
    workflows,
)
from goosed_daemon.admin.operation import Operation

ALL: tuple[Operation[Any], ...] = (
    *machines.ALL,
    *boot_tokens.ALL,
    *agents.ALL,
    *events.ALL,
    *bundle_list.ALL,
    *bearers.ALL,
    *rollouts.ALL,
    *workflows.ALL,
    *receipts.ALL,
)
