"""How long machines may be in each step, as the site's profiles say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from bundles.files.document import InvalidDocument
from goosed_daemon import duration
from goosed_daemon.infra.known import Infra
from goosed_daemon.workflow.model import Workflow
from goosed_daemon.workflow.steps import TIMEOUTS
from goosed_daemon.workflow.transition import Timeouts


class Limits:
    """The limits of a workflow's machine now; `current` gives the profiles, or raises
    `InvalidDocument`.

    A mistake in them must not make machines late that are in mid-install: until it is mended, what
    stood there before counts.
    """

    def __init__(self, current: Callable[[], Infra]) -> None:
        self._current = current
        self._known: dict[str, Timeouts] = {}  # by MAC, of machines with limits of their own

    def __call__(self, workflow: Workflow) -> Timeouts:
        mac = workflow.mac
        try:
            infra = self._current()
        except InvalidDocument:
            return self._known.get(mac, TIMEOUTS)
        machine = infra.machine_by_mac(mac)
        if machine is None:
            if infra.stop(mac=mac) is None:
                self._known.pop(mac, None)  # it is no longer the site's
            return self._known.get(mac, TIMEOUTS)
        own: dict[str, timedelta] = {
            step: duration.parse(span)
            for said in (infra.profile_of(machine).timeouts, machine.timeouts)
            for step, span in said.items()
        }
        if not own:
            self._known.pop(mac, None)
            return TIMEOUTS
        self._known[mac] = {**TIMEOUTS, **own}
        return self._known[mac]
