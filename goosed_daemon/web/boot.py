"""GET /boot.ipxe, /v1/boot/ipxe and their like for GRUB: what boot loaders run.

They show nothing of a response whose status is an error, so every answer here is a script with
status 200: it installs, or it says in words why the machine boots its disk instead.
"""

from __future__ import annotations

import logging
from typing import Protocol

from aiohttp import web

from bundles.errors import GooseError
from bundles.store.errors import StoreError
from goosed_daemon import boot, places
from goosed_daemon.errors import MachineNotArmed, MachineWaits, StateError
from goosed_daemon.infra import Infra, mac, secrets
from goosed_daemon.infra.models import Machine
from goosed_daemon.render import grub, ipxe
from goosed_daemon.render.context import BootContext
from goosed_daemon.telemetry import BOOT_SCRIPTS, TOKENS
from goosed_daemon.tokens import Offer
from goosed_daemon.web import asked
from goosed_daemon.web.current import Current
from goosed_daemon.web.deps import Deps, address
from goosed_daemon.web.urls import Bases, bases
from goosed_daemon.workflow import rows

log = logging.getLogger("goosed.boot")

_HEADERS = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
_NO_PRESEED = "# Goose: the preseed is what url= on the kernel command line names.\n"


class Language(Protocol):
    """A module of `render` that writes scripts for one boot loader."""

    def chain(self, base_url: str) -> str: ...
    def install(self, boot: BootContext) -> str: ...
    def again(self, base_url: str, reason: str, attempt: int) -> str: ...
    def wait(self, base_url: str, reason: str, pause: int) -> str: ...
    def local_disk(self, reason: str, hint: str = "") -> str: ...
    def refuse(self, reason: str, hint: str = "") -> str: ...


class Boot:
    """The handlers."""

    def __init__(self, deps: Deps, current: Current) -> None:
        self._deps = deps
        self._current = current
        self._secrets = secrets.Secrets.of(deps.settings)
        # profile, or machine and language -> the profiles and refs under which it was found fit
        self._checked: dict[tuple[object, str], tuple[Infra, object]] = {}

    async def chain(self, request: web.Request) -> web.Response:
        """The script that asks for a machine's own, with every identity that iPXE knows.

        The Debian installer takes the file name of a DHCP offer for its preseed when that is a URL,
        and reads it before the one on its command line (network-preseed's postinst): where DHCP
        names this script to everyone, it is given comments, and goes on.
        """
        if request.headers.get("User-Agent") == "debian-installer":
            return web.Response(text=_NO_PRESEED, headers=_HEADERS)
        return await self._chain(request, ipxe)

    async def grub_chain(self, request: web.Request) -> web.Response:
        """The `grub.cfg` that asks for a machine's own script."""
        return await self._chain(request, grub)

    async def script(self, request: web.Request) -> web.Response:
        """The iPXE script of the machine that asks. HEAD issues no token."""
        return await self._script(request, ipxe)

    async def grub_script(self, request: web.Request) -> web.Response:
        """The GRUB script of the machine that asks. HEAD issues no token."""
        return await self._script(request, grub)

    async def _chain(self, request: web.Request, language: Language) -> web.Response:
        found = bases(self._deps, request, await self._site_url())
        return web.Response(text=language.chain(found.boot), headers=_HEADERS)

    async def _script(self, request: web.Request, language: Language) -> web.Response:
        if request.method == "HEAD":
            return web.Response(headers=_HEADERS)
        try:
            text, offer = await self._install(request, language)
            self._deps.telemetry.count(BOOT_SCRIPTS, "install")
            response = web.Response(text=text, headers=_HEADERS)
            await response.prepare(request)
            await response.write_eof()
            self._deps.sightings.script_served(offer.token.id, self._deps.clock())
            return response
        except MachineWaits as error:
            return await self._wait(request, language, error)
        except GooseError as error:
            # That a machine is not to be installed is how it should be; anything else is shown
            # for long enough to be read.
            armed = not isinstance(error, MachineNotArmed)
            words = language.refuse if armed else language.local_disk
            text = words(error.message, error.hint)
            outcome = error.code
            mending = isinstance(error, (StateError, StoreError))  # ours to do, and perhaps soon
            if mending and request.query.get("waits") == "yes":
                return await self._wait(request, language, error)
            if mending and (next_ := _next(request)):
                # A few bounded tries, and then the disk.
                found = bases(self._deps, request, await self._site_url())
                text = language.again(found.boot, error.message, next_)
            log.info("no install", extra={"fields": {"code": outcome, "why": error.message}})
            about = error.details.get("mac")
            if isinstance(error, MachineNotArmed) and about:
                self._deps.sightings.disk_booted(str(about), self._deps.clock())
            self._deps.strangers.refused(
                self._deps.clock(), outcome, str(about or ""), address(request)
            )
        self._deps.telemetry.count(BOOT_SCRIPTS, outcome)
        return web.Response(text=text, headers=_HEADERS)

    async def _wait(
        self, request: web.Request, language: Language, error: GooseError
    ) -> web.Response:
        """The script that asks again, for as long as it takes. Its status is 200, since GRUB shows
        nothing of another, and iPXE waits by Retry-After without a word."""
        found = bases(self._deps, request, await self._site_url())
        text = language.wait(found.boot, error.message, places.PAUSE)
        log.debug("waits", extra={"fields": {"code": error.code, "why": error.message}})
        self._deps.telemetry.count(BOOT_SCRIPTS, error.code)
        return web.Response(text=text, headers={**_HEADERS, "Retry-After": str(places.PAUSE)})

    async def _install(self, request: web.Request, language: Language) -> tuple[str, Offer]:
        deps = self._deps
        given = mac.normalise(asked.needed(request, "mac"))
        uuid, serial = asked.one(request, "uuid"), asked.one(request, "serial")
        infra = await self._current.infra()
        where = bases(deps, request, infra.site.url)
        machine = boot.recognise(infra, given, uuid, serial)
        try:
            await self._check(infra, machine, where, language)
        except GooseError:
            await deps.join(rows.trace, machine.mac[0])
            raise
        await deps.in_state(
            deps.places.ask, machine.mac[0], infra.profile_of(machine).name, deps.clock()
        )
        offer = await deps.joined(
            rows.trace,
            machine.mac[0],
            deps.tokens.offer,
            machine.mac[0],
            deps.clock(),
            address(request),
            _names(infra, machine),
        )
        deps.telemetry.count(TOKENS, "issued" if offer.new else "offered", "")
        script = language.install(await self._context(infra, machine, where, offer, given))
        return script, offer

    async def _context(
        self, infra: Infra, machine: Machine, where: Bases, offer: Offer, given: str | None = None
    ) -> BootContext:
        deps = self._deps
        return await deps.look(
            boot.context,
            infra,
            deps.catalog,
            machine,
            where.main,
            offer,
            asked=given,
            boot_url=where.boot,
            ca=deps.authority(),
        )

    async def _check(
        self, infra: Infra, machine: Machine, where: Bases, language: Language
    ) -> None:
        """Looks once per machine, profiles and state of the store whether an install can work at
        all, so that no token is wasted; later calls cost two comparisons."""
        tls = self._deps.tls
        if tls is not None and (refusal := tls.refusal(self._deps.clock())) is not None:
            raise refusal
        refs = await self._deps.look(self._deps.catalog.store.refs_token)
        for key, look in (
            (("profile", infra.profile_of(machine).name), self._content_of),
            ((language, machine.name), self._script_of),
        ):
            known = self._checked.get(key)
            if known is None or known[0] is not infra or known[1] != refs:
                await look(infra, machine, where, language)
                self._checked[key] = infra, refs

    async def _content_of(
        self, infra: Infra, machine: Machine, where: Bases, language: Language
    ) -> None:
        profile = infra.profile_of(machine)
        await self._deps.in_store(boot.check_content, self._deps.catalog, profile)

    async def _script_of(
        self, infra: Infra, machine: Machine, where: Bases, language: Language
    ) -> None:
        offer = self._deps.tokens.sample(machine.mac[0], self._deps.clock())
        context = await self._context(infra, machine, where, offer)
        language.install(context)
        await self._deps.in_store(secrets.resolved, context, self._secrets)

    async def _site_url(self) -> str | None:
        try:
            return (await self._current.infra()).site.url
        except GooseError:
            return None  # the machine's own script will say what is wrong


def _next(request: web.Request) -> int | None:
    """The number of the next attempt, where there is to be one; a machine's own is the first."""
    told = request.query.get("attempt", "1")
    attempt = int(told) if told in map(str, range(1, ipxe.ATTEMPTS)) else ipxe.ATTEMPTS
    return attempt + 1 if attempt < ipxe.ATTEMPTS else None


def _names(infra: Infra, machine: Machine) -> dict[str, str]:
    """What the machine's workflow tells of it."""
    profile = infra.profile_of(machine)
    return {"machine": machine.name, "profile": profile.name, "installer": profile.installer}
