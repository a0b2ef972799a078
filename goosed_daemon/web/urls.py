"""Where a machine that asks reaches the daemon: over HTTPS, and at the boot listener."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from goosed_daemon import boot
from goosed_daemon.web import asked
from goosed_daemon.web.deps import Deps


@dataclass(frozen=True, slots=True)
class Bases:
    """Absolute URLs without a slash at their end. In a lab both are the same."""

    main: str
    boot: str


def bases(deps: Deps, request: web.Request, site_url: str | None) -> Bases:
    """The bases for the machine that sent `request`: as configured, or else by the host that it
    named. `site_url` is the `Site` document's. Raises `BadQuery` or `InsecureUrl`."""
    settings = deps.settings
    configured = settings.public_url or site_url
    if settings.lab:
        main = asked.base_url(request, configured)
        return Bases(main, settings.boot_url or main)
    if configured is not None and configured.startswith("http:"):
        raise boot.insecure_site(configured)
    if configured is None:
        # What the request named is where its own listener is; the other is beside it.
        configured = _at(asked.host(request), "https", deps.ports.main)
    if settings.boot_url is not None:
        return Bases(configured, settings.boot_url)
    if settings.boot_listen is None:
        return Bases(configured, configured)
    if request.secure:
        host = urlsplit(configured).hostname or ""
        return Bases(configured, _at(f"[{host}]" if ":" in host else host, "http", deps.ports.boot))
    return Bases(configured, asked.base_url(request, None))


def _at(host: str, scheme: str, port: int) -> str:
    default = {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{host}" if port == default else f"{scheme}://{host}:{port}"
