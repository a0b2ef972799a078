"""Has agents prove their machine by a certificate, where the site asks for that.

The handshake has checked the certificate already: that an authority of `tls_client_ca` signed it,
that it is valid now, and that it is a client's. Here it has to be this machine's.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from goosed_daemon.errors import CertificateNeeded
from goosed_daemon.web.current import Current
from goosed_daemon.web.deps import Deps


async def require(request: web.Request, deps: Deps, current: Current, mac: str | None) -> None:
    """Raises `CertificateNeeded` when the site asks for certificates, and the one that `request`
    came with is not that of the machine with `mac`; None is no machine."""
    if not deps.settings.agent_certificates:
        return
    name = common_name(request.get_extra_info("peercert"))
    if name is None:
        raise CertificateNeeded("an agent of this site sends a certificate for its machine")
    machine = (await current.infra()).machine_by_mac(mac) if mac is not None else None
    if machine is None or machine.name != name:
        raise CertificateNeeded("the certificate is not for this machine")


def common_name(certificate: Any) -> str | None:
    """The one common name in what `ssl.SSLSocket.getpeercert` gives; None for anything else."""
    subject = (certificate or {}).get("subject", ())
    names = [value for rdn in subject for kind, value in rdn if kind == "commonName"]
    return names[0] if len(names) == 1 else None
