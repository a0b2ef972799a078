"""What happens around every request: its id, its errors, its metrics and its log line."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware

from bundles.errors import GooseError, UsageError
from goosed_daemon import errors, tracing
from goosed_daemon.setting_forms import Network
from goosed_daemon.telemetry import HTTP_DURATION, Telemetry
from goosed_daemon.web import access, guard, limits, oci_errors

if TYPE_CHECKING:
    from goosed_daemon.otlp import Otlp

log = logging.getLogger("goosed.http")
requests = logging.getLogger("goosed.access")

REQUEST_ID = "X-Request-ID"
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
_ID = web.RequestKey("request_id", str)
# Ids of spans are no secrets, and the system's randomness takes a call each time.
_RANDOM = random.Random()  # noqa: S311
CLIENT_GONE = 499  # nginx's number for it; nobody receives it
# The status to record of a response that was cut.
ENDED = web.RequestKey("ended", int)

Proxies = tuple[Network, ...]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def middleware(
    telemetry: Telemetry,
    otlp: Otlp | None,
    own: str,
    services: Mapping[str, str],
    limited: limits.Limits,
    proxies: Proxies,
) -> Middleware:
    """The one middleware. `own` is the process's service, `services` those of route templates; what
    `proxies` say of who asks is believed."""

    @web.middleware
    async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        watch = guard.of(request)
        if watch is not None:
            watch.begin()
        if proxies and (told := limits.client(request, proxies)) != request.remote:
            request = request.clone(remote=told)
        resource = request.match_info.route.resource
        route = "unmatched" if resource is None else resource.canonical
        service = services.get(route, own)
        request_id = request[_ID] = _request_id(request)
        span = mark = None
        if otlp is not None:
            span = tracing.begin(request.headers.get("traceparent"), _RANDOM.randbytes)
            mark = tracing.CURRENT.set(span)
        status = CLIENT_GONE
        try:
            try:
                limited.check(request, route)
                await _body(request, service)
                response = await handler(request)
            except (ConnectionError, TimeoutError):
                raise
            except Exception as error:
                response = refusal(request, error, request_id)
            status = request.get(ENDED, response.status)
            return response
        finally:
            if watch is not None:
                watch.end()
            taken = time.perf_counter() - began
            method = request.method if request.method in _METHODS else "other"
            trace = span.trace if span is not None else None
            telemetry.observe(
                HTTP_DURATION, taken, service, method, route, str(status), trace=trace
            )
            if requests.isEnabledFor(logging.INFO):
                _log(request, route, status, taken, request_id)
            if otlp is not None and span is not None and mark is not None:
                tracing.CURRENT.reset(mark)
                _trace(otlp, span, service, method, route, status, taken)

    return edge


async def _body(request: web.Request, service: str) -> None:
    """Has the body, which is small on every route, come in time, before anything is done for it.
    Raises `RequestTimeout`, or `BodyTooLarge`; for agents, who know one status for any body that is
    not as it should be, `BadQuery`."""
    if not request.can_read_body:
        return
    try:
        async with asyncio.timeout(guard.BODY_SECONDS):
            await request.read()
    except TimeoutError as error:
        raise errors.RequestTimeout("the body of the request did not come in time") from error
    except web.HTTPRequestEntityTooLarge as error:
        kind = errors.BadQuery if service == "goosed-agents" else errors.BodyTooLarge
        raise kind("the body is longer than any route takes") from error


async def add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """A signal `on_response_prepare`: whatever is answered bears the request's id."""
    # A request with an Expect that aiohttp refuses never came through the middleware.
    response.headers[REQUEST_ID] = request.get(_ID) or _request_id(request)


def refusal(request: web.Request, error: Exception, request_id: str) -> web.Response:
    """The response that tells of `error`: the one JSON envelope."""
    headers: dict[str, str] = {}
    if isinstance(error, web.HTTPException):
        known, status = _of_framework(error), error.status
        if "Allow" in error.headers:
            headers["Allow"] = error.headers["Allow"]
    elif isinstance(error, GooseError):
        # Errors of the other packages: what was asked for is wrong, or something cannot be had.
        wrong = isinstance(error, ValueError | UsageError)
        status = getattr(error, "status", 400 if wrong else 503)
        known = error
        if status >= 500:
            log.error(error.message, extra={"fields": {"code": error.code, "id": request_id}})
    else:
        log.error("unexpected error", exc_info=error, extra={"fields": {"id": request_id}})
        known = errors.DaemonError(
            "something went wrong in the daemon", hint=f"its log has the reason: {request_id}"
        )
        status = known.status
    if isinstance(known, errors.DaemonError):
        headers |= access.challenge(known)
    if status == 503:
        # iPXE and curl both wait for it.
        headers["Retry-After"] = str(known.details.get("retry_after", 5))
    if status == 408:
        headers["Connection"] = "close"  # the rest of the body is not waited for
    told = _told(known, request_id)
    return web.Response(
        status=status,
        headers=headers,
        content_type="application/json",
        body=oci_errors.envelope(known, told)
        if request.path.startswith(oci_errors.PREFIX)
        else json.dumps({"error": told}, default=str).encode() + b"\n",
    )


def _told(error: GooseError, request_id: str) -> dict[str, object]:
    """What the JSON body of a refusal tells."""
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "details": error.details,
        "request_id": request_id,
    }


def _of_framework(error: web.HTTPException) -> GooseError:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return errors.MethodNotAllowed(f"this route does not take {error.method[:20]}")
    if isinstance(error, web.HTTPNotFound):
        return errors.RouteUnknown("nothing is served at this address")
    return errors.BadQuery(error.reason)


def _request_id(request: web.Request) -> str:
    given = request.headers.get(REQUEST_ID)
    if given is not None and _SANE_ID.fullmatch(given):
        return given
    return secrets.token_hex(8)


def _trace(
    otlp: Otlp,
    span: tracing.Current,
    service: str,
    method: str,
    route: str,
    status: int,
    taken: float,
) -> None:
    """Names as OpenTelemetry's semantic conventions for HTTP servers have them."""
    ended = time.time_ns()
    about: dict[str, str | int] = {"http.request.method": method, "http.route": route}
    about["http.response.status_code"] = status
    began = ended - int(taken * 1e9)
    otlp.request(service, f"{method} {route}", span, began, ended, about, status >= 500)


def _log(request: web.Request, route: str, status: int, taken: float, request_id: str) -> None:
    fields = {
        "id": request_id,
        "address": request.remote,
        "method": request.method,
        "target": _target(request),
        "route": route,
        "status": status,
        "seconds": round(taken, 6),
        "agent": request.headers.get("User-Agent", "")[:100],
    }
    requests.info("request", extra={"fields": fields})


def _target(request: web.Request) -> str:
    """What was asked for, decoded, so that no spelling of a secret's name gets past `redact`."""
    query = "&".join(f"{name}={value}" for name, value in request.query.items())
    return f"{request.path}?{query}" if query else request.path


def is_ours(record: logging.LogRecord) -> bool:
    """A log filter: leaves out what aiohttp logs with a traceback when a client sends no HTTP or
    goes away. Both are daily bread, and the former may hold anything."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (HttpProcessingError, ConnectionError))
