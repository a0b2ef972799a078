"""The web application: routes, and what each is for."""

from __future__ import annotations

from aiohttp import web

from goosed_daemon.web import about, edge
from goosed_daemon.web.admin import Admin
from goosed_daemon.web.agents import AgentRoutes
from goosed_daemon.web.artifacts import Artifacts
from goosed_daemon.web.boot import Boot
from goosed_daemon.web.current import Current
from goosed_daemon.web.deps import DEPS, Deps
from goosed_daemon.web.health import Health
from goosed_daemon.web.lookup import Lookup
from goosed_daemon.web.openapi import OpenApi
from goosed_daemon.web.progress import Progress
from goosed_daemon.web.render import Render
from goosed_daemon.web.routes import AGENTS, API, BOOTD, Route


def routes(deps: Deps) -> tuple[Route, ...]:
    """All routes. Their paths are relative to a reverse proxy's prefix, if there is one."""
    lookup, current = Lookup(deps), Current(deps)
    health = Health(deps, current)
    boot = Boot(deps, current)
    render = Render(deps, current)
    artifacts = Artifacts(deps, lookup)
    progress = Progress(deps)
    agents = AgentRoutes(deps)
    openapi = OpenApi()
    table = (
        Route("GET", "/healthz", API, health.healthz, about.HEALTHZ),
        Route("GET", "/readyz", API, health.readyz, about.READYZ),
        Route("GET", "/metrics", API, health.metrics, about.METRICS),
        Route("GET", "/openapi.json", API, openapi.get, about.OPENAPI),
        Route("GET", "/boot.ipxe", BOOTD, boot.chain, about.CHAIN),
        Route("GET", "/v1/boot/ipxe", BOOTD, boot.script, about.SCRIPT),
        Route("GET", "/boot.grub", BOOTD, boot.grub_chain, about.GRUB_CHAIN),
        Route("GET", "/v1/boot/grub", BOOTD, boot.grub_script, about.GRUB_SCRIPT),
        Route("GET", "/v1/render/{installer}", BOOTD, render.render, about.RENDER),
        Route("GET", "/v1/artifacts/{bundle}/{path:.+}", BOOTD, artifacts.get, about.ARTIFACT),
        Route("POST", "/v1/machines/{mac}/progress", API, progress.report, about.PROGRESS),
        Route("POST", "/v1/agents/register", AGENTS, agents.register, about.REGISTER),
        Route("POST", "/v1/agents/heartbeat", AGENTS, agents.heartbeat, about.HEARTBEAT),
        Route("POST", "/v1/agents/token/refresh", AGENTS, agents.refresh, about.REFRESH),
        *Admin(deps).routes(),
    )
    openapi.describe(table)
    return table


def create_app(deps: Deps) -> web.Application:
    """The application over `deps`, which stay the caller's to close."""
    table = routes(deps)
    services = {}
    app = web.Application(client_max_size=64 * 1024)
    for route in table:
        added = app.router.add_route(route.method, route.path, route.handler)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, route.handler)
        if added.resource is not None:
            services[added.resource.canonical] = route.service
    app.middlewares.append(edge.middleware(deps.telemetry, services))
    app.on_response_prepare.append(edge.add_request_id)
    app[DEPS] = deps
    return app
