"""Sends the bytes of one stored file: from memory, by sendfile, or in pieces."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from os import SEEK_END
from types import MappingProxyType
from typing import BinaryIO

from aiohttp import web

from bundles.errors import GooseError
from bundles.site.catalog import Part, StoredFile
from bundles.store.errors import BlobDamaged, BlobMissing
from goosed_daemon.telemetry import STORE_BYTES, STORE_SECONDS
from goosed_daemon.web import edge, ranges
from goosed_daemon.web.cache import SMALL, SmallContent
from goosed_daemon.web.deps import Deps

log = logging.getLogger("goosed.content")

_PIECE = 256 * 1024  # bytes, for stores without files
_REDIRECT_SECONDS = 300  # in which a download must begin
_NOTHING: Mapping[str, str] = MappingProxyType({})


async def steady(
    deps: Deps, answer: Callable[[], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """What `answer` answers; once more where a version was dropped between the look-up and the
    bytes: what is there now?"""
    token = deps.catalog.store.refs_token()
    try:
        return await answer()
    except BlobMissing:
        if deps.catalog.store.refs_token() == token:
            raise
        return await answer()


class Sender:
    """Answers GET and HEAD for stored files; see RFC 9110, sections 13 and 14."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._store = deps.catalog.store
        self._small = SmallContent(deps.settings.cache_bytes)
        self._redirects = deps.settings.artifact_reads == "redirected"

    async def answer(
        self, request: web.Request, file: StoredFile, more: Mapping[str, str] = _NOTHING
    ) -> web.StreamResponse:
        """The response for `file`, with `more` fields in its head. Raises `StoreError`, before
        anything was sent."""
        etag = f'"{file.digest}"'
        headers = {
            "ETag": etag,
            "Accept-Ranges": "bytes",
            "Cache-Control": "no-cache",  # kept, but asked about: the ETag answers that
            "Content-Type": "application/octet-stream",
            "X-Content-Type-Options": "nosniff",
            **more,
        }
        asked = request.headers
        if "If-Match" in asked and not ranges.matches(asked["If-Match"], etag, weak=False):
            return web.Response(status=412, headers=headers)
        if "If-None-Match" in asked and ranges.matches(asked["If-None-Match"], etag, weak=True):
            del headers["Content-Type"]
            return web.Response(status=304, headers=headers)
        status, span = 200, ranges.Span(0, file.size)
        if request.method == "GET" and ranges.range_still_wanted(asked.get("If-Range"), etag):
            found = ranges.parse(asked.get("Range"), file.size)
            if isinstance(found, ranges.Unsatisfiable):
                headers["Content-Range"] = f"bytes */{file.size}"
                return web.Response(status=416, headers=headers)
            if found is not None:
                last = found.start + found.length - 1
                headers["Content-Range"] = f"bytes {found.start}-{last}/{file.size}"
                status, span = 206, found
        if request.method == "HEAD":
            return await self._head(request, headers, file)
        if self._redirects and file.size > SMALL and len(file.parts) == 1:
            url = await self._deps.look(self._store.url, file.parts[0].digest, _REDIRECT_SECONDS)
            if url is not None:
                return _redirect(url)
        if file.size <= SMALL:
            data = await self._in_memory(file)
            body = data[span.start : span.start + span.length]
            return web.Response(status=status, headers=headers, body=body)
        return await self._stream(request, status, headers, file, span)

    async def _head(
        self, request: web.Request, headers: dict[str, str], file: StoredFile
    ) -> web.StreamResponse:
        # Fails where GET would: also when the content is gone that the answer would tell of.
        if file.size <= SMALL:
            await self._in_memory(file)
        else:
            with ExitStack() as opened:
                await self._deps.in_store(self._open, opened, file.parts)
        response = web.StreamResponse(headers=headers)
        response.content_length = file.size
        await response.prepare(request)
        return response

    async def _in_memory(self, file: StoredFile) -> bytes:
        data = self._small.get(file.digest)
        operation = "cached"
        if data is None:
            operation = "read"
            began = time.perf_counter()
            data = await self._deps.in_store(self._read, file)
            self._observe(began)
            self._small.put(file.digest, data)
        self._deps.telemetry.count(STORE_BYTES, self._store.name, operation, by=len(data))
        return data

    def _read(self, file: StoredFile) -> bytes:
        pieces = []
        for part in file.parts:
            data = self._store.read(part.digest, SMALL)
            self._require(part, len(data))
            pieces.append(data)
        return b"".join(pieces)

    async def _stream(
        self,
        request: web.Request,
        status: int,
        headers: dict[str, str],
        file: StoredFile,
        span: ranges.Span,
    ) -> web.StreamResponse:
        pieces = overlaps(file, span)
        with ExitStack() as opened:
            began = time.perf_counter()
            files = await self._deps.in_store(self._open, opened, [piece[0] for piece in pieces])
            self._observe(began)
            response = web.StreamResponse(status=status, headers=headers)
            response.content_length = span.length
            await response.prepare(request)
            try:
                for blob, (part, start, count) in zip(files, pieces, strict=True):
                    if self._store.path(part.digest) is not None:
                        await self._sendfile(request, blob, start, count)
                    else:
                        await self._write(response, blob, start, count)
                    name = self._store.name
                    self._deps.telemetry.count(STORE_BYTES, name, "send", by=count)
                await response.write_eof()
            except (GooseError, OSError, RuntimeError) as error:
                _cut(request, error)
        return response

    def _open(self, opened: ExitStack, parts: Sequence[Part]) -> list[BinaryIO]:
        files = []
        for part in parts:
            file = opened.enter_context(self._store.open(part.digest))
            self._require(part, file.seek(0, SEEK_END))
            files.append(file)
        return files

    def _require(self, part: Part, size: int) -> None:
        """A status is sent before the bytes, and must not be 200 for a blob cut short."""
        if size != part.size:
            raise BlobDamaged(
                f"{self._store}: blob {part.digest} has {size} bytes, and not {part.size}"
            )

    async def _sendfile(self, request: web.Request, blob: BinaryIO, start: int, count: int) -> None:
        if request.transport is None:
            raise ConnectionResetError("the client is gone")
        loop = asyncio.get_running_loop()
        sent = await loop.sendfile(request.transport, blob, start, count)
        if sent != count:
            raise OSError(f"a blob is {count - sent} bytes shorter than its manifest says")

    async def _write(
        self, response: web.StreamResponse, blob: BinaryIO, start: int, count: int
    ) -> None:
        await self._deps.in_store(blob.seek, start)
        while count > 0:
            data = await self._deps.in_store(blob.read, min(_PIECE, count))
            if not data:
                raise OSError(f"a blob is {count} bytes shorter than its manifest says")
            await response.write(data)
            count -= len(data)

    def _observe(self, began: float) -> None:
        taken = time.perf_counter() - began
        self._deps.telemetry.observe(STORE_SECONDS, taken, self._store.name, "open")


def _redirect(url: str) -> web.Response:
    """Sends the client to the store's own service. 307 keeps Range and method (RFC 9110, section
    15.4.8); whoever kept the address would find it expired."""
    return web.Response(status=307, headers={"Location": url, "Cache-Control": "no-store"})


def _cut(request: web.Request, error: Exception) -> None:
    """The status is out: only a cut connection tells the client that bytes are missing."""
    transport = request.transport
    gone = isinstance(error, ConnectionError) or transport is None or transport.is_closing()
    request[edge.ENDED] = edge.CLIENT_GONE if gone else 500
    if not gone:
        log.error("sending stopped", extra={"fields": {"why": str(error)}})
    if transport is not None:
        transport.abort()


def overlaps(file: StoredFile, span: ranges.Span) -> list[tuple[Part, int, int]]:
    """The parts of `file` that `span` touches, with first byte and number of bytes of each."""
    found = []
    before, end = 0, span.start + span.length
    for part in file.parts:
        first = max(span.start, before)
        last = min(end, before + part.size)
        if first < last:
            found.append((part, first - before, last - first))
        before += part.size
    return found
