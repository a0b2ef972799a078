"""What a route is, and what OpenAPI says of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from aiohttp import web
from pydantic import BaseModel

from bundles.errors import GooseError
from goosed_daemon import setting_forms as forms
from goosed_daemon.admin_tokens import Role

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# What metrics and traces call the parts of the daemon: by its roles, and agents apart.
BOOTD = "goosed-bootd"
API = "goosed-api"
AGENTS = "goosed-agents"
ORCHESTRATOR = "goosed-orchestrator"
EVERY = "goosed"  # routes that each process has, under its own name

TEXT = "text/plain"
BYTES = "application/octet-stream"
PEM = "application/x-pem-file"
OCI = "application/*"  # whatever the manifest is


@dataclass(frozen=True, slots=True)
class About:
    """A route for OpenAPI. Answers by status: a model of JSON, a media type, or no content."""

    summary: str
    answers: Mapping[int, type[BaseModel] | str | None]
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    role: Role | None = None  # None: nobody is asked for a token
    refusals: tuple[type[GooseError], ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """One route. A GET route answers HEAD too."""

    method: str
    path: str
    service: str  # label of its metrics, and so the role that has it
    handler: Handler
    about: About
    boot: Handler | None = None  # what the boot listener answers with, if it has the route


_OF_ROLES = {
    forms.BOOTD: (BOOTD,),
    forms.API: (API, AGENTS),
    forms.ORCHESTRATOR: (ORCHESTRATOR,),
}


def services(roles: Collection[str]) -> tuple[str, ...]:
    """The services of a process with these roles. Its own name is the first."""
    in_order = (forms.API, forms.BOOTD, forms.ORCHESTRATOR)
    return tuple(name for role in in_order if role in roles for name in _OF_ROLES[role])
