"""Every operation there is."""

from __future__ import annotations

from typing import Any

from goosed_daemon.admin import bearers, boot_tokens, bundle_list, events, machines
from goosed_daemon.admin.operation import Operation

ALL: tuple[Operation[Any], ...] = (
    *machines.ALL,
    *boot_tokens.ALL,
    *events.ALL,
    *bundle_list.ALL,
    *bearers.ALL,
)
