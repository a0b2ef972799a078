"""The steps of an installation, and how long each may take.

A step is named for what was seen last. A machine is in it until something further is seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

ARMED = "armed"
OFFERED = "offered"
SCRIPT_SERVED = "script-served"
FETCHED = "fetched"
RENDERED = "rendered"
INSTALLING = "installing"
INSTALLED = "installed"
FIRST_BOOT = "first-boot"
ENROLLED = "enrolled"
READY = "ready"

#: What ends an attempt otherwise; `EXHAUSTED` and `CANCELLED` end the whole workflow.
FAILED = "failed"
CANCELLED = "cancelled"
EXHAUSTED = "tries-exhausted"

#: In the order of an installation, which all installers share.
STEPS = (
    ARMED, OFFERED, SCRIPT_SERVED, FETCHED, RENDERED, INSTALLING, INSTALLED, FIRST_BOOT, ENROLLED,
    READY,
)  # fmt: skip

#: While a machine is in one of these, it has what is served to installers in use.
INSTALL_PHASE = (OFFERED, SCRIPT_SERVED, FETCHED, RENDERED, INSTALLING)

#: What is waited for in each step, for people.
AWAITED: Mapping[str, str] = {
    ARMED: "to be switched on and to ask for its boot script",
    OFFERED: "for its boot script to arrive",
    SCRIPT_SERVED: "for its kernel and initial ramdisk to be fetched",
    FETCHED: "for the installer to start and to fetch its answers",
    RENDERED: "for the installer to report that it began",
    INSTALLING: "for the installer to report that it is done",
    INSTALLED: "to boot the installed system",
    FIRST_BOOT: "for its agent to enrol",
    ENROLLED: "for the first heartbeat of its agent",
    READY: "for nothing: it is ready",
}

#: How long a machine may be in a step before that counts as a failure. An armed machine waits for
#: whoever switches it on, which may be next week.
TIMEOUTS: Mapping[str, timedelta] = {
    OFFERED: timedelta(minutes=5),
    SCRIPT_SERVED: timedelta(minutes=15),
    FETCHED: timedelta(minutes=15),
    RENDERED: timedelta(minutes=15),
    INSTALLING: timedelta(hours=2),
    INSTALLED: timedelta(minutes=30),
    FIRST_BOOT: timedelta(minutes=30),
    ENROLLED: timedelta(minutes=15),
}
