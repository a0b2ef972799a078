"""GET /v1/boot/windows/{name}: the scripts that WinPE runs, for the machine with a boot token.

The token is not used by this: iPXE may have to fetch twice, and what it is for comes after.
"""

from __future__ import annotations

from aiohttp import web

from goosed_daemon import boot
from goosed_daemon.errors import MachineUnknown, RouteUnknown, TokenUnknown, WrongInstaller
from goosed_daemon.render import winpe
from goosed_daemon.token_refusals import UNKNOWN, judge
from goosed_daemon.tokens import Offer
from goosed_daemon.web import asked
from goosed_daemon.web.current import Current
from goosed_daemon.web.deps import Deps, address
from goosed_daemon.web.urls import bases

_HEADERS = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}


class WindowsFiles:
    """The handler."""

    def __init__(self, deps: Deps, current: Current) -> None:
        self._deps = deps
        self._current = current

    async def get(self, request: web.Request) -> web.Response:
        """One of `winpe.FILES`. Raises what the token is refused for, and `WrongInstaller`."""
        deps, name = self._deps, request.match_info["name"]
        if name not in winpe.FILES:
            known = ", ".join(winpe.FILES)
            raise RouteUnknown(
                f"there is no file {name[:40]!r} for WinPE", hint=f"there is: {known}"
            )
        secret = asked.needed(request, "token")
        token = deps.tokens.known(secret) or await deps.in_state(deps.tokens.look, secret)
        now = deps.clock()
        if token is None:
            deps.strangers.refused(now, TokenUnknown.code, "", address(request))
            raise TokenUnknown(UNKNOWN)
        if (refusal := judge(token, now)) is not None:
            raise refusal
        infra = await self._current.infra()
        machine = infra.machine_by_mac(token.mac)
        if machine is None:
            raise MachineUnknown(f"no Machine document has the MAC {token.mac} any more")
        wanted = infra.profile_of(machine).installer
        if wanted != "unattend":
            raise WrongInstaller(f"machine {machine.name} is installed by {wanted}, not unattend")
        where = bases(deps, request, infra.site.url)
        context = await deps.look(
            boot.context,
            infra,
            deps.catalog,
            machine,
            where.main,
            Offer(token, secret, new=False),
            boot_url=where.boot,
            ca=deps.authority(),
        )
        return web.Response(text=winpe.FILES[name](context), headers=_HEADERS)
