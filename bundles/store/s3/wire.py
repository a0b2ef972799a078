"""Requests to one bucket, repeated while that can help; the one place that knows the client.

The `minio` client signs, sends and reads. Its public calls neither take conditions nor let an
upload be continued later, so that requests are made with the call that these are made of.
Integrity on the way is the signature's over plain HTTP (x-amz-content-sha256) and Content-MD5 over
TLS; the client sets both. A blob's own SHA-256 goes along as x-amz-checksum-sha256, which a server
that knows it checks.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar, cast

import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.error import S3Error
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import ProtocolError

from bundles.store.s3 import errors
from bundles.store.s3.address import S3Address
from bundles.store.s3.retry import Retry

T = TypeVar("T")

_CONNECT = 10.0  # seconds
_ANSWER = 60.0  # seconds of silence: large uploads are put together before they are answered
_CONNECTIONS = 32  # kept open
_SMALL = 64 * 1024 * 1024  # bytes; the refs of thousands of bundles
_FIRST = 3.0  # seconds of patience with a service that has not answered yet
_MISSING = {"NoSuchKey", "NotFound", "NoSuchUpload"}


class Precondition(Exception):
    """An object is not as the request said it must be (RFC 9110, section 15.5.13)."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object: its headers' facts, and its bytes where they were asked for."""

    etag: str
    size: int  # bytes
    headers: Mapping[str, str]
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing."""

    key: str
    size: int  # bytes
    modified: datetime


class Wire:
    """A bucket. Every call raises `StoreError` with its reason, those with conditions
    `Precondition`; None stands for an object that is not there. Safe to use from several threads.
    """

    def __init__(self, address: S3Address, retry: Retry) -> None:
        self.address = address
        self._retry = retry
        self._answered = self._hurried = False
        self._client = Minio(
            address.endpoint,
            access_key=address.access_key,
            secret_key=address.secret_key,
            secure=address.secure,
            region=address.region,
            http_client=urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=_CONNECT, read=_ANSWER),
                maxsize=_CONNECTIONS,
                retries=False,  # repeated here, where the reason is known
                # The system's authorities, or those of SSL_CERT_FILE.
                ssl_context=ssl.create_default_context() if address.secure else None,
            ),
        )

    def get(self, key: str, limit: int = _SMALL) -> Found | None:
        """A small object: its first `limit` bytes."""

        def read() -> Found:
            response = self.send("GET", key, streamed=True)
            try:
                data = response.read(limit)
                if len(data) < min(limit, _size(response)):
                    raise ProtocolError("the answer ended early")
            except BaseException:
                response.close()
                raise
            response.release_conn() if len(data) == _size(response) else response.close()
            return Found(etag_of(response), _size(response), response.headers, data)

        return self.maybe(key, read)

    def head(self, key: str) -> Found | None:
        """Whether an object is there, and its facts."""

        def look() -> Found:
            try:
                response = self.send("HEAD", key)
            except S3Error as error:
                if errors.status_of(error) != 404:
                    # The answer to a HEAD has no body that could say why.
                    self.send("GET", key, headers={"Range": "bytes=0-0"})
                raise
            return Found(etag_of(response), _size(response), response.headers)

        return self.maybe(key, look)

    def stream(self, key: str, start: int, count: int) -> BaseHTTPResponse | None:
        """`count` bytes of an object from `start`, as they come in (RFC 9110, section 14.2)."""
        span = {"Range": f"bytes={start}-{start + count - 1}"}
        return self.maybe(key, lambda: self.send("GET", key, headers=span, streamed=True))

    def put(self, key: str, data: bytes, headers: Mapping[str, str] | None = None) -> str:
        """Stores an object in one step; returns its ETag."""
        return self.run(key, lambda: etag_of(self.send("PUT", key, data, headers)))

    def delete(self, key: str) -> None:
        """Removes an object, if it is there."""
        self.maybe(key, lambda: self.send("DELETE", key))

    def move(self, key: str, to: str) -> bool:
        """Copies an object within the server and removes it; False when it is not there."""
        bucket = self.address.bucket
        source = CopySource(bucket, key)
        if self.maybe(key, lambda: self._client.copy_object(bucket, to, source)) is None:
            return False
        self.delete(key)
        return True

    def list(self, prefix: str) -> Iterator[Listed]:
        """Every object whose key begins with `prefix`, in the order of keys, page by page."""
        bucket = self.address.bucket
        last: str | None = None
        listing = self._client.list_objects(bucket, prefix, recursive=True)

        def following() -> Listed | None:
            nonlocal listing
            try:
                found = next(listing, None)
            except Exception:  # a generator that raised is over: go on behind what came last
                listing = self._client.list_objects(
                    bucket, prefix, recursive=True, start_after=last
                )
                raise
            if found is None:
                return None
            key, size, modified = found.object_name, found.size, found.last_modified
            return Listed(cast(str, key), cast(int, size), cast(datetime, modified))

        while (found := self.run(prefix, following)) is not None:
            last = found.key
            yield found

    def signed_url(self, key: str, seconds: int) -> str:
        """An address at which anyone may read the object for `seconds`."""
        return self._client.presigned_get_object(
            self.address.bucket, key, timedelta(seconds=seconds)
        )

    def send(
        self,
        method: str,
        key: str | None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        streamed: bool = False,
    ) -> BaseHTTPResponse:
        """Makes one request, once; for use within `run` or `maybe`."""
        try:
            return self._client._execute(
                method,
                self.address.bucket,
                key,
                body=data,
                headers=dict(headers or {}),
                query_params=dict(query or {}),
                preload_content=not streamed,
            )
        except S3Error as error:
            # A condition on an object that is not there is answered with 404.
            conditional = method == "PUT" and headers is not None and "If-Match" in headers
            if errors.status_of(error) == 412 or (conditional and error.code in _MISSING):
                raise Precondition(key) from error
            raise

    def maybe(self, what: str, call: Callable[[], T]) -> T | None:
        """What `call` returns, or None when it finds that something is not there."""

        def looked() -> T | None:
            try:
                return call()
            except S3Error as error:
                if error.code in _MISSING:
                    return None
                raise

        return self.run(what, looked)

    def hurry(self) -> None:
        """From now on nothing is tried twice: what is under way is to come to an end."""
        self._hurried = True

    def _patience(self) -> float:
        if self._hurried:
            return 0
        return self._retry.patience if self._answered else min(_FIRST, self._retry.patience)

    def run(self, what: str, call: Callable[[], T]) -> T:
        """What `call` returns, made again while that can help."""
        try:
            result = self._retry.run(call, errors.passing, self._patience)
        except Precondition:
            raise
        except Exception as error:
            raise errors.translated(error, str(self.address), what) from error
        self._answered = True
        return result


def _size(response: BaseHTTPResponse) -> int:
    return int(response.headers.get("Content-Length", 0))


def etag_of(response: BaseHTTPResponse) -> str:
    """The ETag, quoted as it came, for use in conditions."""
    return response.headers.get("ETag", "")
