"""GET /v1/boot/ca/{release}.img and /v1/boot/ca.crt: the site's authority, for who is to trust it.

Both are public, and given out over plain HTTP: whoever can change them on their way can change the
installer's kernel too. What they buy is that nobody who merely listens reads a rendered file.
"""

from __future__ import annotations

import logging

from aiohttp import web

from goosed_daemon import ca_image
from goosed_daemon.errors import RouteUnknown
from goosed_daemon.web.deps import Deps
from goosed_daemon.web.routes import BYTES, PEM

log = logging.getLogger("goosed.tls")


class Authority:
    """The handlers."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._made: dict[str, tuple[bytes, bytes]] = {}  # family -> authorities, ramdisk

    async def certificate(self, request: web.Request) -> web.Response:
        """The authorities, PEM."""
        pem = self._pem().encode()
        return web.Response(body=pem, headers={"Content-Type": PEM})

    async def image(self, request: web.Request) -> web.Response:
        """The ramdisk that brings them to the installer of a release."""
        release = request.match_info["release"]
        family = ca_image.family(release)
        if family is None:
            raise RouteUnknown(f"there is no ramdisk for {release[:40]!r}")
        pem = self._pem().encode()
        known = self._made.get(family)
        if known is None or known[0] != pem:
            try:
                known = pem, ca_image.image(release, pem)
            except ValueError as error:
                raise RouteUnknown(
                    f"the site's authority {self._deps.settings.tls_ca} holds no certificate"
                ) from error
            self._made[family] = known
        return web.Response(body=known[1], headers={"Content-Type": BYTES})

    def _pem(self) -> str:
        pem = self._deps.authority()
        if pem is None:
            raise RouteUnknown(
                "this site has no authority of its own to trust",
                hint="`goosectl pki init` makes one, or set `tls_ca`",
            )
        return pem
