"""What a request says about itself, checked before anything is made of it."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from goosed_daemon.errors import BadBody, BadQuery, NoJson

M = TypeVar("M", bound=BaseModel)

# RFC 3986, section 3.2.2, less what no host of a site has: no escapes, no user, no IPvFuture.
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?P<port>:[0-9]{1,5})?"
)


def base_url(request: web.Request, configured: str | None) -> str:
    """Where the asking machine reaches the daemon: as configured, or else as it did just now.

    The Host field ends up in scripts, so that only a plain host and port pass. GRUB leaves the port
    out of it, and tells it in the parameter `port`. Raises `BadQuery`.
    """
    if configured is not None:
        return configured
    return f"{request.scheme}://{_named(request)}"


def host(request: web.Request) -> str:
    """The host that the request named, without a port. Raises `BadQuery`."""
    named = _named(request)
    return named if named.endswith("]") else re.sub(r":[0-9]+$", "", named)


def _named(request: web.Request) -> str:
    host = request.host
    if not (found := _HOST.fullmatch(host)):
        raise BadQuery("the Host field is not a host and port", hint="or set `public_url`")
    port = one(request, "port", 5)
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise BadQuery(f"{port!r} is not a port", parameter="port")
    told = f":{port}" if port not in (None, "80") and found["port"] is None else ""
    return f"{host}{told}"


MAX_BODY = 4096  # bytes: what machines send is a few short words


async def body(request: web.Request) -> dict[str, Any]:
    """The JSON object in the request's body (RFC 8259). Raises `BadQuery`."""
    data = await request.read()
    if len(data) > MAX_BODY:
        raise BadQuery(f"the body is longer than {MAX_BODY} bytes")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadQuery("the body is not JSON") from error
    if not isinstance(found, dict):
        raise BadQuery("the body is not a JSON object")
    return found


def optional(body: dict[str, Any], name: str, longest: int = 200) -> str | None:
    """The text in a body's member `name`; None when it has none. Raises `BadQuery`."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise BadQuery(f"{name} is not text of 1 to {longest} characters", parameter=name)
    return value


def member(body: dict[str, Any], name: str) -> str:
    """The text in a body's member `name`. Raises `BadQuery` when it is missing."""
    value = optional(body, name)
    if value is None:
        raise BadQuery(f"{name} is missing from the body", parameter=name)
    return value


def one(request: web.Request, name: str, longest: int = 200) -> str | None:
    """The query parameter `name`, once; None when it is absent or empty. Raises `BadQuery`."""
    values = request.query.getall(name, [])
    if len(values) > 1:
        raise BadQuery(f"{name} is given more than once", parameter=name)
    if values and len(values[0]) > longest:
        raise BadQuery(f"{name} is longer than {longest} characters", parameter=name)
    return values[0] if values and values[0] else None


def needed(request: web.Request, name: str) -> str:
    """The query parameter `name`. Raises `BadQuery` when it is missing."""
    value = one(request, name)
    if value is None:
        raise BadQuery(f"{name} is missing", parameter=name)
    return value


def query(request: web.Request, model: type[M]) -> M:
    """The query as `model` has it. Raises `BadQuery`, which names every parameter that is wrong."""
    for name in request.query:
        one(request, name)
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        problems = _problems(error)
        raise BadQuery("; ".join(problems), problems=problems) from error


async def posted(request: web.Request, model: type[M]) -> M:
    """The JSON in the body as `model` has it; no body is an empty object.

    Raises `BadBody`, which names every field that is wrong, or `NoJson`.
    """
    data = await request.read()
    if data and request.content_type != "application/json":
        raise NoJson(f"the body is {request.content_type[:80]}, not application/json")
    try:
        return model.model_validate_json(data or b"{}")
    except ValidationError as error:
        problems = _problems(error)
        raise BadBody("; ".join(problems), problems=problems) from error


def _problems(error: ValidationError) -> list[str]:
    """What is wrong, by field; not what was sent, which may be a secret in the wrong place."""
    return [
        f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}"[:300]
        for one in error.errors(include_url=False, include_input=False, include_context=False)[:20]
    ]
