"""GET /openapi.json: the routes for machines to read (OpenAPI 3.1), made from the routes' own
declarations."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from bundles import __version__
from bundles.errors import GooseError
from goosed_daemon import errors
from goosed_daemon.web import limits
from goosed_daemon.web.oci_errors import PREFIX, OciEnvelope
from goosed_daemon.web.routes import About, Route

_VARIABLE = re.compile(r"{(\w+)(?::[^}]*)?}")
_REFERENCE = "#/components/schemas/{model}"


class Refusal(BaseModel):
    """What went wrong."""

    code: str = Field(description="Stable; docs/errors.md lists all.")
    message: str = Field(description="For people; may change.")
    hint: str = Field(description="What to do next; may be empty.")
    details: dict[str, Any]
    request_id: str


class Envelope(BaseModel):
    """The body of every refusal."""

    error: Refusal


class OpenApi:
    """The handler."""

    def __init__(self) -> None:
        self._body = b""

    def describe(self, routes: Iterable[Route]) -> None:
        """Makes the document that is served."""
        self._body = json.dumps(document(routes)).encode() + b"\n"

    async def get(self, request: web.Request) -> web.Response:
        """The document."""
        return web.Response(body=self._body, content_type="application/json")


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The description of these routes. Of each GET route there is a HEAD route, which is not told
    of apart."""
    routes = tuple(routes)
    schemas, components = _schemas(routes)
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in routes:
        path = _VARIABLE.sub(r"{\1}", route.path)
        paths[path][route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Goose",
            "version": __version__,
            "description": "docs/http-api.md says more of every route. Each GET route answers HEAD"
            " too, with the same status and fields.",
        },
        "paths": dict(paths),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token that `goosectl admin-token new` made (RFC 6750).",
                }
            },
        },
    }


def _schemas(routes: tuple[Route, ...]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """References by model and mode, and what they lead to."""
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {
        (Envelope, "serialization"): None,
        (OciEnvelope, "serialization"): None,
    }
    for route in routes:
        for answer in route.about.answers.values():
            if isinstance(answer, type):
                wanted[answer, "serialization"] = None
        if route.about.body is not None:
            wanted[route.about.body, "validation"] = None
    schemas, all_of_them = models_json_schema(list(wanted), ref_template=_REFERENCE)
    return dict(schemas), all_of_them["$defs"]


def _operation(route: Route, schemas: Any) -> dict[str, Any]:
    about = route.about
    described: dict[str, Any] = {
        "summary": about.summary,
        "operationId": _id(route),
        "parameters": [*_variables(route), *_query(about)],
        "responses": {
            str(status): found
            for status, found in sorted((*_answers(about, schemas), *_refusals(route, schemas)))
        },
        "security": [],
    }
    if about.role is not None:
        described["security"] = [{"bearer": []}]
        described["description"] = f"Needs a token of the role {about.role} or above."
    if about.body is not None:
        described["requestBody"] = {
            "required": any(field.is_required() for field in about.body.model_fields.values()),
            "content": {"application/json": {"schema": schemas[about.body, "validation"]}},
        }
    return described


def _id(route: Route) -> str:
    words = re.findall(r"[a-z0-9]+", _VARIABLE.sub(r"by \1", route.path).lower())
    return "_".join([route.method.lower(), *words])


def _variables(route: Route) -> Iterator[dict[str, Any]]:
    for name in _VARIABLE.findall(route.path):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
        }


def _query(about: About) -> Iterator[dict[str, Any]]:
    if about.query is None:
        return
    schema = about.query.model_json_schema()
    for name, found in schema["properties"].items():
        required = name in schema.get("required", ())
        yield {
            "name": name,
            "in": "query",
            "required": required,
            "description": found.pop("description", ""),
            "schema": found if required else _without_null(found),
        }


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is left out rather than null."""
    kinds: list[dict[str, Any]] = [
        kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}
    ]
    if schema.get("default", 0) is None:
        del schema["default"]
    if len(kinds) == 1:
        return schema | kinds[0]
    return schema | ({"anyOf": kinds} if kinds else {})


def _answers(about: About, schemas: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for status, answer in about.answers.items():
        described: dict[str, Any] = {"description": web.Response(status=status).reason or "Done"}
        if isinstance(answer, str):
            described["content"] = {answer: {"schema": {"type": "string"}}}
        elif answer is not None:
            schema = schemas[answer, "serialization"]
            described["content"] = {"application/json": {"schema": schema}}
        yield status, described


def _refusals(route: Route, schemas: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    by_status: dict[int, list[str]] = defaultdict(list)
    for kind in _kinds(route):
        by_status[getattr(kind, "status", 400)].append(kind.code)
    for status, codes in by_status.items():
        if status in route.about.answers:
            continue
        envelope = OciEnvelope if route.path.startswith(PREFIX) else Envelope
        described: dict[str, Any] = {
            "description": ", ".join(dict.fromkeys(codes)),
            "content": {
                "application/json": {"schema": schemas[envelope, "serialization"]},
            },
        }
        if status in (401, 403) and route.about.role is not None:
            described["headers"] = {
                "WWW-Authenticate": {"schema": {"type": "string"}, "required": True}
            }
        if status in (429, 503):
            described["headers"] = {
                "Retry-After": {"schema": {"type": "integer"}, "required": True}
            }
        yield status, described


def _kinds(route: Route) -> Iterator[type[GooseError]]:
    about = route.about
    yield from about.refusals
    path = _VARIABLE.sub(r"{\1}", route.path)
    if path not in limits.UNLIMITED:
        yield errors.TooManyRequests
    if path.startswith(limits.OF_BOOTING):
        yield errors.NotABootNetwork
    if _VARIABLE.search(route.path):
        yield errors.RouteUnknown
    if about.query is not None or about.body is not None or about.role is not None:
        yield errors.BadQuery
    if about.body is not None and about.role is not None:
        yield from (errors.BadBody, errors.BodyTooLarge, errors.NoJson)
    if about.role is not None:
        yield from (
            errors.NotAuthenticated,
            errors.BadAdminToken,
            errors.RoleTooLow,
            errors.TooManyFailures,
            errors.StateError,
            errors.StateBusy,
            errors.ProfileInvalid,
        )
