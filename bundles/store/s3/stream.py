"""A blob of an S3 store as a seekable stream."""

from __future__ import annotations

import io
from collections.abc import Callable

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import ProtocolError

from bundles.store.s3.wire import Wire

_LEAST = 256 * 1024  # bytes asked for at once
_MOST = 16 * 1024 * 1024


class BlobStream(io.RawIOBase):
    """Reads by Range requests. What is asked for doubles while the reader goes on, so that a short
    range costs little and a long one few requests; connections are always read to the end, and so
    kept. A connection that breaks is taken up again where it broke.
    """

    def __init__(self, wire: Wire, key: str, size: int, missing: Callable[[], Exception]) -> None:
        self._wire, self._key, self._size, self._missing = wire, key, size, missing
        self._at = 0
        self._window = _LEAST
        self._left = 0  # bytes of the response still to come
        self._response: BaseHTTPResponse | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("negative seek position")
        if start + offset != self._at:
            self._drop()
            self._at, self._window = start + offset, _LEAST
        return self._at

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        count = min(len(view), self._size - self._at)
        if count <= 0:
            return 0
        data = self._wire.run(self._key, lambda: self._some(count))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _some(self, count: int) -> bytes:
        try:
            if self._response is None:
                self._left = min(self._window, self._size - self._at)
                self._response = self._wire.stream(self._key, self._at, self._left)
                if self._response is None:
                    raise self._missing()
                self._window = min(2 * self._window, _MOST)
            data = self._response.read(min(count, self._left))
            if not data:
                raise ProtocolError("the answer ended early")
        except BaseException:
            self._drop()
            raise
        self._left -= len(data)
        if self._left == 0:
            self._response.release_conn()
            self._response = None
        return data

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None
