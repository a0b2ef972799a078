"""Every machine's way from an empty disk to ready: what was seen of it, and what that means.

Who sees something of a machine says so with `observe`, in the transaction of what it records. An
orchestrator takes these observations up, keeps them as facts, and derives from the facts where the
machine is (`transition`). So no order, repetition or late arrival of observations can put a machine
where it is not, and every request stays as fast as one insert.
"""

from __future__ import annotations

from goosed_daemon.workflow.inbox import begin, observe
from goosed_daemon.workflow.model import Attempt, Fact, Workflow

__all__ = ["Attempt", "Fact", "Workflow", "begin", "observe"]
