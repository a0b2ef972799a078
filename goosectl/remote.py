"""Operations done by a daemon elsewhere, over its HTTP interface.

The token goes to the server that was named and to no other: redirects are not followed, and no
proxy is asked.
"""

from __future__ import annotations

import json
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from bundles.errors import GooseError, UsageError
from goosectl.server import Server

if TYPE_CHECKING:
    from pydantic import BaseModel

    from goosed_daemon.admin.operation import Operation

A = TypeVar("A", bound="BaseModel")

TIMEOUT = 300  # seconds: the check of a long audit log takes its time
LARGEST = 64 << 20  # bytes of an answer


class ServerUnreachable(GooseError):
    """The server that was named does not answer."""

    code = "server-unreachable"
    default_hint = "see whether the daemon runs, and whether the address is right"


class ServerUntrusted(GooseError):
    """The certificate of the server that was named is not to be believed."""

    code = "server-untrusted"
    default_hint = "name the site's certification authority with --ca FILE (`goosectl pki show`)"


class BadAnswer(GooseError):
    """What answers at the address of the server is no Goose daemon, or one of another version."""

    code = "bad-answer"
    default_hint = "see whether the address is right; `curl URL/healthz` should say ok"


class Refused(GooseError):
    """The server refused; `code` is what it says."""

    def __init__(self, code: str, message: str, hint: str, details: dict[str, object]) -> None:
        super().__init__(message, hint=hint)
        self.code = code  # type: ignore[misc]
        self.details = details


class Remote:
    """See `goosed_daemon.admin.operation.Operator`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def call(
        self,
        operation: Operation[A],
        *,
        query: BaseModel | None = None,
        body: BaseModel | None = None,
        **path: str,
    ) -> A:
        from pydantic import ValidationError

        asked = query.model_dump(mode="json", exclude_none=True) if query is not None else {}
        words = {name: _word(value) for name, value in asked.items()}
        segments = {name: _segment(value) for name, value in path.items()}
        target = operation.path.format_map(segments) + (f"?{urlencode(words)}" if words else "")
        sent = body.model_dump_json(exclude_none=True).encode() if body is not None else None
        status, data = self._exchange(operation.method, target, sent)
        value = self._json(data)
        if status != operation.status:
            raise self._refusal(status, value)
        try:
            return operation.answer.model_validate(value)
        except ValidationError as error:
            raise BadAnswer(f"{self._server.url}: its answer has another form") from error

    def _exchange(self, method: str, target: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self._server.token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = self._connection()
        where = self._server.url
        try:
            prefix = urlsplit(where).path
            connection.request(method, prefix + target, body=body, headers=headers)
            response = connection.getresponse()
            data = response.read(LARGEST + 1)
        except ssl.SSLCertVerificationError as error:
            raise ServerUntrusted(f"{where}: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise ServerUntrusted(f"{where}: {error.reason or error}") from error
        except HTTPException as error:
            raise BadAnswer(f"{where}: it does not speak HTTP: {type(error).__name__}") from error
        except OSError as error:
            raise ServerUnreachable(f"{where}: {error.strerror or error}") from error
        finally:
            connection.close()
        if len(data) > LARGEST:
            raise BadAnswer(f"{where}: its answer is too long")
        return response.status, data

    def _connection(self) -> HTTPConnection:
        parts = urlsplit(self._server.url)
        if parts.scheme == "http":
            return HTTPConnection(parts.netloc, timeout=TIMEOUT)
        ca = self._server.ca
        try:
            context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        except (OSError, ssl.SSLError) as error:
            why = error.strerror if isinstance(error, FileNotFoundError) else "is no PEM file"
            raise UsageError(
                f"{ca}: {why}", hint="name a file of certificates with --ca"
            ) from error
        return HTTPSConnection(parts.netloc, timeout=TIMEOUT, context=context)

    def _json(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except ValueError as error:
            raise BadAnswer(f"{self._server.url}: its answer is not JSON") from error

    def _refusal(self, status: int, value: Any) -> GooseError:
        try:
            told = value["error"]
            code, message, hint = str(told["code"]), str(told["message"]), str(told["hint"])
            details = dict(told["details"])
        except (TypeError, KeyError, ValueError):
            return BadAnswer(f"{self._server.url}: status {status}, and no reason")
        if code == UsageError.code:
            return UsageError(message, hint=hint, **details)
        return Refused(code, message, hint, details)


def _word(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _segment(value: str) -> str:
    """`value` as one segment of a path (RFC 3986, section 3.3)."""
    if value in ("", ".", ".."):
        raise UsageError(f"{value!r} names nothing", hint="give a name or an id")
    return quote(value, safe=":")
