"""What every rendered file is made of."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from goosed_daemon import ca_image
from goosed_daemon.infra.models import Disk, Machine, OSProfile, Site


@dataclass(frozen=True, slots=True)
class AgentContext:
    """What the agent of the installed system is given."""

    url: str  # of the daemon that takes agents
    enrolment: str  # the secret with which it enrols, once
    interval: int  # seconds between two heartbeats
    ca: str | None = None  # the authority of the daemon's certificate, PEM; None: the system's


@dataclass(frozen=True, slots=True)
class BootContext:
    """One machine, what it is to become, and where everything is.

    URLs are absolute and end without a slash.
    """

    site: Site
    profile: OSProfile
    machine: Machine
    base_url: str  # of the daemon, as the machine reaches it
    artifacts: str  # URL of the profile's bundle, at the version to install
    version: str  # of that bundle
    token: str | None = None  # the boot token's secret; only boot scripts need one
    expires: datetime | None = None  # when the token does, aware
    callback: str | None = None  # URL that takes the install's reports; only rendered files need it
    agent: AgentContext | None = None  # for rendered files; None: no agent is installed
    asked: str | None = None  # MAC of the card that booted; only boot scripts know it
    boot_url: str | None = None  # of the boot listener, where it is another than `base_url`
    ca: str | None = None  # the authorities that the installer is to trust, PEM
    token_id: str | None = None  # of the boot token; no secret

    @property
    def mac(self) -> str:
        """MAC of the card that boots: the one that asked, or else the machine's first."""
        return self.asked or self.machine.mac[0]

    @property
    def hostname(self) -> str:
        """The full host name: the machine's, in the site's domain unless it names one."""
        name = self.machine.hostname or self.machine.name
        if "." in name or self.site.domain is None:
            return name
        return f"{name}.{self.site.domain}"

    @property
    def disk(self) -> Disk:
        """The disk to erase: the machine's own, or the profile's."""
        return self.machine.disk or self.profile.disk

    @property
    def erased(self) -> str:
        """What is erased, in words."""
        devices = self.disk.devices
        return (
            f"the disk {devices[0]}" if len(devices) == 1 else f"the disks {' and '.join(devices)}"
        )

    @property
    def nameservers(self) -> tuple[str, ...]:
        """DNS servers of a machine with a static address."""
        network = self.machine.network
        own = network.nameservers if network else ()
        return tuple(map(str, own or self.site.nameservers))

    @property
    def repo(self) -> str:
        """URL of the folder that is installed from."""
        return self.content(self.profile.repo)

    def report(self, step: str) -> str:
        """URL that is told that the install has come to `step`; empty where nobody listens."""
        return f"{self.callback}&step={step}" if self.callback else ""

    @property
    def ca_image(self) -> str | None:
        """URL of the ramdisk that brings `ca`, if there is one."""
        if self.ca is None or ca_image.family(self.profile.release) is None:
            return None
        return f"{self.boot_url or self.base_url}/v1/boot/ca/{self.profile.release}.img"

    @property
    def ca_base64(self) -> str:
        """`ca` as one word, for scripts."""
        return b64encode((self.ca or "").encode()).decode()

    def boot_content(self, path: str) -> str:
        """URL of `path` for firmware, which may speak no TLS."""
        url = self.content(path)
        if self.boot_url is None:
            return url
        return self.boot_url + url.removeprefix(self.base_url)

    def content(self, path: str) -> str:
        """URL of `path` in the bundle (RFC 3986, section 2.1)."""
        return f"{self.artifacts}/{quote(path, safe='/+~@:')}"
