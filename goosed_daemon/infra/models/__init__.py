"""The kinds of infra profiles. Their fields are listed in docs/profiles.md, made from here."""

from __future__ import annotations

from goosed_daemon.infra.models.disk import Disk
from goosed_daemon.infra.models.machine import Machine
from goosed_daemon.infra.models.network import Network
from goosed_daemon.infra.models.os_profile import KICKSTART_RELEASES, PRESEED_RELEASES, OSProfile
from goosed_daemon.infra.models.site import Site
from goosed_daemon.infra.models.user import User

KINDS: dict[str, type[Site | OSProfile | Machine]] = {
    "Site": Site,
    "OSProfile": OSProfile,
    "Machine": Machine,
}

__all__ = [
    "KICKSTART_RELEASES",
    "KINDS",
    "PRESEED_RELEASES",
    "Disk",
    "Machine",
    "Network",
    "OSProfile",
    "Site",
    "User",
]
