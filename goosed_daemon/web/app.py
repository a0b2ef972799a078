"""The web application: routes, and what each is for."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from goosed_daemon.errors import BootListenerOnly, RoleElsewhere
from goosed_daemon.web import about, edge, limits
from goosed_daemon.web.admin import Admin
from goosed_daemon.web.agents import AgentRoutes
from goosed_daemon.web.artifacts import Artifacts
from goosed_daemon.web.authority import Authority
from goosed_daemon.web.boot import Boot
from goosed_daemon.web.boot_artifacts import BootArtifacts
from goosed_daemon.web.content import Sender
from goosed_daemon.web.current import Current
from goosed_daemon.web.deps import DEPS, Deps
from goosed_daemon.web.health import Health
from goosed_daemon.web.lookup import Lookup
from goosed_daemon.web.openapi import OpenApi
from goosed_daemon.web.progress import Progress
from goosed_daemon.web.registry import Registry
from goosed_daemon.web.render import Render
from goosed_daemon.web.routes import AGENTS, API, BOOTD, EVERY, About, Handler, Route, services
from goosed_daemon.web.windows import WindowsFiles


def routes(deps: Deps) -> tuple[Route, ...]:
    """All routes. Their paths are relative to a reverse proxy's prefix, if there is one."""
    lookup, current = Lookup(deps), Current(deps)
    health = Health(deps, current)
    boot = Boot(deps, current)
    render = Render(deps, current)
    sender = Sender(deps)
    artifacts = Artifacts(deps, lookup, sender)
    registry = Registry(deps, sender)
    progress = Progress(deps)
    agents = AgentRoutes(deps, current)
    authority = Authority(deps)
    windows = WindowsFiles(deps, current)
    openapi = OpenApi()
    table = (
        Route("GET", "/healthz", EVERY, health.healthz, about.HEALTHZ, health.healthz),
        Route("GET", "/readyz", EVERY, health.readyz, about.READYZ),
        Route("GET", "/metrics", EVERY, health.metrics, about.METRICS),
        Route("GET", "/openapi.json", API, openapi.get, about.OPENAPI),
        _everywhere("/boot.ipxe", boot.chain, about.CHAIN),
        _everywhere("/v1/boot/ipxe", boot.script, about.SCRIPT),
        _everywhere("/boot.grub", boot.grub_chain, about.GRUB_CHAIN),
        _everywhere("/v1/boot/grub", boot.grub_script, about.GRUB_SCRIPT),
        _everywhere("/v1/boot/ca.crt", authority.certificate, about.AUTHORITY),
        _everywhere("/v1/boot/ca/{release}.img", authority.image, about.AUTHORITY_IMAGE),
        _everywhere("/v1/boot/windows/{name}", windows.get, about.WINDOWS_FILE),
        Route("GET", "/v1/render/{installer}", BOOTD, render.render, about.RENDER),
        Route(
            "GET",
            "/v1/artifacts/{bundle}/{path:.+}",
            BOOTD,
            artifacts.get,
            about.ARTIFACT,
            BootArtifacts(deps, current, artifacts).get,
        ),
        Route("GET", "/v2/", BOOTD, registry.version, about.REGISTRY),
        Route(
            "GET",
            "/v2/{name:.+}/manifests/{reference}",
            BOOTD,
            registry.manifest,
            about.MANIFEST,
        ),
        Route("GET", "/v2/{name:.+}/blobs/{digest}", BOOTD, registry.blob, about.IMAGE_BLOB),
        Route("GET", "/v2/{name:.+}/tags/list", BOOTD, registry.tags, about.TAGS),
        Route("POST", "/v1/machines/{mac}/progress", API, progress.report, about.PROGRESS),
        Route("POST", "/v1/agents/register", AGENTS, agents.register, about.REGISTER),
        Route("POST", "/v1/agents/heartbeat", AGENTS, agents.heartbeat, about.HEARTBEAT),
        Route("POST", "/v1/agents/token/refresh", AGENTS, agents.refresh, about.REFRESH),
        *Admin(deps).routes(),
    )
    openapi.describe(table)
    return table


def _everywhere(path: str, handler: Handler, told: About) -> Route:
    """A route that the boot listener has as well."""
    return Route("GET", path, BOOTD, handler, told, handler)


def create_app(deps: Deps) -> web.Application:
    """The application over `deps`, which stay the caller's to close. A route of a role that this
    process has not answers that it is served elsewhere."""
    return _app(deps, [(route, route.handler) for route in routes(deps)])


def create_boot_app(deps: Deps) -> web.Application:
    """What the boot listener serves: the few routes that firmware needs, and for every other one
    the answer that it is served elsewhere."""
    return _app(deps, [(route, route.boot or elsewhere) for route in routes(deps)], boot=True)


async def elsewhere(request: web.Request) -> web.Response:
    """Raises `BootListenerOnly`."""
    raise BootListenerOnly("the boot listener serves what firmware fetches, and nothing else")


async def another_role(request: web.Request) -> web.Response:
    """Raises `RoleElsewhere`."""
    raise RoleElsewhere("this process has not the role that serves this")


def _app(
    deps: Deps, served: Sequence[tuple[Route, Handler]], *, boot: bool = False
) -> web.Application:
    # What comes to the boot listener is bootd's, whatever else the process is.
    own, *others = (BOOTD,) if boot else services(deps.settings.roles)
    labels = {}
    app = web.Application(client_max_size=64 * 1024)
    for route, handler in served:
        ours = boot or route.service in (own, *others, EVERY)
        answer = handler if ours else another_role
        added = app.router.add_route(route.method, route.path, answer)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, answer)
        if added.resource is not None:
            labels[added.resource.canonical] = route.service if route.service in others else own
    app.middlewares.append(
        edge.middleware(
            deps.telemetry,
            deps.otlp,
            own,
            labels,
            limits.Limits(deps.settings),
            deps.settings.trusted_proxies or (),
        )
    )
    app.on_response_prepare.append(edge.add_request_id)
    app[DEPS] = deps
    return app
