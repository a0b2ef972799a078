"""One file on its way over HTTP: what breaks off is continued, and what fails is tried again."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

from bundles.errors import GooseError
from bundles.progress import Progress

Sleep: TypeAlias = Callable[[float], None]  # seconds
Open: TypeAlias = Callable[[urllib.request.Request], http.client.HTTPResponse]
Result = TypeVar("Result")

_CHUNK = 1024 * 1024
_TRIES = 5
_TIMEOUT = 30  # seconds without a byte
# Below 500. The range is the one of a try that had all bytes but not their end.
_WORTH_A_TRY = (
    http.client.REQUEST_TIMEOUT,
    http.client.TOO_MANY_REQUESTS,
    http.client.REQUESTED_RANGE_NOT_SATISFIABLE,
)


class DownloadFailed(GooseError):
    """A remote input cannot be fetched."""

    code = "download-failed"
    default_hint = "check the address and the network, then run the command again"


def urlopen(request: urllib.request.Request) -> http.client.HTTPResponse:
    """The answer to `request`. Raises OSError, of which `urllib.error.HTTPError` is one."""
    answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310
    return answer


def in_tries(step: Callable[[], Result], what: str, sleep: Sleep = time.sleep) -> Result:
    """What `step` returns, in several tries if it must. Raises `DownloadFailed`, naming `what`."""
    for attempt in range(_TRIES):
        if attempt:
            sleep(2.0 ** (attempt - 1))
        try:
            return step()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 and error.code not in _WORTH_A_TRY:
                raise DownloadFailed(f"{what}: {error.code} {error.reason}") from error
            last: Exception = error
        except (OSError, http.client.HTTPException) as error:
            last = error
    raise DownloadFailed(f"{what}: {last} ({_TRIES} tries)") from last


class Transfer:
    """One file on its way to `path`: a try that breaks off is continued by the next.

    `size`, where it is known, is how many bytes it has: then the address names one content for
    ever, so that no validator is asked for, and more bytes are refused.
    """

    def __init__(
        self,
        url: str,
        path: Path,
        progress: Progress,
        open_: Open = urlopen,
        size: int | None = None,
    ) -> None:
        self.path = path
        self._url, self._progress, self._open, self._size = url, progress, open_, size
        self._begun = False
        self._validator = ""  # the strong ETag of the first answer

    def run(self) -> None:
        """One try; returns only when the body is whole.

        Goes on behind what is there when the server confirms by If-Range that the file is still
        the same (RFC 9110, section 13.1.5). Raises OSError or http.client.HTTPException.
        """
        known = self._validator or (self._begun and self._size is not None)
        have = self.path.stat().st_size if known and self.path.exists() else 0
        request = urllib.request.Request(  # noqa: S310 - whoever makes a `Transfer` looked at it
            self._url, headers={"Accept-Encoding": "identity"}
        )
        if have:
            request.add_header("Range", f"bytes={have}-")
            if self._size is None:
                request.add_header("If-Range", self._validator)
        with self._answer(request) as answer:
            resumed = answer.status == http.client.PARTIAL_CONTENT
            found = answer.headers.get("Content-Range", "")
            if resumed and not (have and found.startswith(f"bytes {have}-")):
                self._restart()
                raise http.client.HTTPException(f"the server sent the range {found!r} unasked")
            tag = answer.headers.get("ETag", "")
            self._validator = "" if tag.startswith("W/") else tag
            self._begun = True
            self._take(answer, have if resumed else 0)

    def _take(self, answer: http.client.HTTPResponse, have: int) -> None:
        # http.client takes a connection that ends early for the end of the body.
        left = answer.length
        with open(self.path, "ab" if have else "wb") as file:
            while data := answer.read(_CHUNK):
                have += len(data)
                if self._size is not None and have > self._size:
                    raise DownloadFailed(f"{self._url} has more than the {self._size} bytes said")
                file.write(data)
                self._progress.advance(len(data), self._url)
                left = None if left is None else left - len(data)
        if left:
            raise ConnectionError(f"the connection ended {left} bytes early")

    def _answer(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        try:
            return self._open(request)
        except urllib.error.HTTPError as error:
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._restart()  # the next try begins again
            raise

    def _restart(self) -> None:
        self._validator, self._begun = "", False
