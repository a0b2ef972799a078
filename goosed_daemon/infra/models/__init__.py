"""The kinds of infra profiles. Their fields are listed in docs/profiles.md, made from here."""

from __future__ import annotations

from goosed_daemon.infra.models.addressing import Addressing, Route
from goosed_daemon.infra.models.disk import ESP, Disk, Filesystem
from goosed_daemon.infra.models.group import Group
from goosed_daemon.infra.models.inherited import MERGE, OF_PROFILE, OF_SITE, Inherited, Merge
from goosed_daemon.infra.models.link import Bond, Ethernet, Vlan
from goosed_daemon.infra.models.machine import Machine
from goosed_daemon.infra.models.network import Network
from goosed_daemon.infra.models.os_profile import (
    KICKSTART_RELEASES,
    PRESEED_RELEASES,
    UNATTEND_RELEASES,
    OSProfile,
)
from goosed_daemon.infra.models.secret import SecretRef, SecretSource
from goosed_daemon.infra.models.selector import Requirement, Selector
from goosed_daemon.infra.models.services import Firewall, Services
from goosed_daemon.infra.models.site import Site
from goosed_daemon.infra.models.user import User
from goosed_daemon.infra.models.variable import Variable
from goosed_daemon.infra.models.windows import Driver, Image, Windows, disk_contradiction

KINDS: dict[str, type[Site | OSProfile | Group | Machine]] = {
    "Site": Site,
    "OSProfile": OSProfile,
    "Group": Group,
    "Machine": Machine,
}

__all__ = [
    "ESP",
    "KICKSTART_RELEASES",
    "KINDS",
    "MERGE",
    "OF_PROFILE",
    "OF_SITE",
    "PRESEED_RELEASES",
    "UNATTEND_RELEASES",
    "Addressing",
    "Bond",
    "Disk",
    "Driver",
    "Ethernet",
    "Filesystem",
    "Firewall",
    "Group",
    "Image",
    "Inherited",
    "Machine",
    "Merge",
    "Network",
    "OSProfile",
    "Requirement",
    "Route",
    "SecretRef",
    "SecretSource",
    "Selector",
    "Services",
    "Site",
    "User",
    "Variable",
    "Vlan",
    "Windows",
    "disk_contradiction",
]
