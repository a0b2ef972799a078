"""The content type `url`: a file fetched over HTTP, pinned by the lock, kept in a cache.

The cache is addressed by digest, so a file in it is what the lock asks for or is not used; a
build with a filled cache needs no network.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.progress import Progress
from bundles.sources.artifact import Artifact, SourceFile
from bundles.sources.lock import Pin

_CHUNK = 1024 * 1024
_TRIES = 5
_TIMEOUT = 30  # seconds without a byte
# Below 500. The range is the one of a try that had all bytes but not their end.
_WORTH_A_TRY = (
    http.client.REQUEST_TIMEOUT,
    http.client.TOO_MANY_REQUESTS,
    http.client.REQUESTED_RANGE_NOT_SATISFIABLE,
)
# The characters of RFC 3986, sections 2.1 to 2.3; anything else must come percent-encoded.
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")


class DownloadFailed(GooseError):
    """A remote input cannot be fetched."""

    code = "download-failed"
    default_hint = "check the address and the network, then run the command again"


class InputChanged(GooseError):
    """A remote input is no longer what the lock pins."""

    code = "input-changed"
    default_hint = "if the change is wanted, renew the lock with `goosectl bundle lock`"


class Downloads:
    """A cache folder of downloaded files, named by digest.

    `sleep` waits between tries (seconds).
    """

    def __init__(self, folder: Path, sleep: Callable[[float], None] = time.sleep) -> None:
        self._folder, self._sleep = folder, sleep

    def pin(self, url: str, progress: Progress) -> Pin:
        """Fetches `url` and pins what came. Raises `DownloadFailed`."""
        path = self._fetch(url, progress)
        with open(path, "rb") as file:
            digest = digests.PREFIX + hashlib.file_digest(file, "sha256").hexdigest()
        os.replace(path, self._path(digest))
        return Pin(url, digest, self._path(digest).stat().st_size)

    def expand(self, pin: Pin, title: str, progress: Progress) -> Artifact:
        """The pinned file, served as `title`; fetched unless the cache has it.

        Raises `DownloadFailed`, or `InputChanged` with both digests.
        """
        path = self._path(pin.digest)
        if not path.exists():
            found = self.pin(pin.url, progress)
            if found.digest != pin.digest:
                raise InputChanged(
                    f"{pin.url} is {found.digest} ({found.size} bytes),"
                    f" the lock pins {pin.digest} ({pin.size} bytes)"
                )
        name = title.rsplit("/", 1)[-1]
        return Artifact("file", title, (SourceFile(name, path.stat().st_size, 0o644, str(path)),))

    def _path(self, digest: str) -> Path:
        return self._folder / digests.hex_of(digest)

    def _fetch(self, url: str, progress: Progress) -> Path:
        """Downloads `url` to a temporary name, in several tries if it must."""
        check_address(url)
        self._folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(url.encode()).hexdigest()
        transfer = _Transfer(url, self._folder / f".{name}.{os.getpid()}.partial", progress)
        try:
            progress.start(f"fetching {url}", None)
            for attempt in range(_TRIES):
                if attempt:
                    self._sleep(2.0 ** (attempt - 1))
                try:
                    transfer.run()
                    progress.finish()
                    return transfer.path
                except urllib.error.HTTPError as error:
                    error.close()
                    if error.code < 500 and error.code not in _WORTH_A_TRY:
                        raise DownloadFailed(f"{url}: {error.code} {error.reason}") from error
                    last: Exception = error
                except (OSError, http.client.HTTPException) as error:
                    last = error
            raise DownloadFailed(f"{url}: {last} ({_TRIES} tries)") from last
        except BaseException:
            transfer.path.unlink(missing_ok=True)
            raise


def check_address(url: str) -> None:
    """Refuses what is not an address of HTTP (RFC 3986, RFC 9110, section 4.2), before anything
    is asked of a network. Raises `DownloadFailed`."""
    try:
        parts = urllib.parse.urlsplit(url)
        good = _ADDRESS.fullmatch(url) and parts.hostname and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number
        good = False
    if not good:
        raise DownloadFailed(
            f"{url}: not an address that can be fetched",
            hint="http:// or https://, and special characters percent-encoded",
        )


class _Transfer:
    """One file on its way: a try that breaks off is continued by the next."""

    def __init__(self, url: str, path: Path, progress: Progress) -> None:
        self.path = path
        self._url, self._progress = url, progress
        self._validator = ""  # the strong ETag of the first answer

    def run(self) -> None:
        """One try; returns only when the body is whole.

        Goes on behind what is there when the server confirms by If-Range that the file is still
        the same (RFC 9110, section 13.1.5). Raises OSError or http.client.HTTPException.
        """
        have = self.path.stat().st_size if self._validator and self.path.exists() else 0
        request = urllib.request.Request(  # noqa: S310 - see check_address
            self._url, headers={"Accept-Encoding": "identity"}
        )
        if have:
            request.add_header("Range", f"bytes={have}-")
            request.add_header("If-Range", self._validator)
        with self._answer(request) as answer:
            resumed = answer.status == http.client.PARTIAL_CONTENT
            found = answer.headers.get("Content-Range", "")
            if resumed and not (have and found.startswith(f"bytes {have}-")):
                self._validator = ""
                raise http.client.HTTPException(f"the server sent the range {found!r} unasked")
            tag = answer.headers.get("ETag", "")
            self._validator = "" if tag.startswith("W/") else tag
            # http.client takes a connection that ends early for the end of the body.
            left = answer.length
            with open(self.path, "ab" if resumed else "wb") as file:
                while data := answer.read(_CHUNK):
                    file.write(data)
                    self._progress.advance(len(data), self._url)
                    left = None if left is None else left - len(data)
            if left:
                raise ConnectionError(f"the connection ended {left} bytes early")

    def _answer(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        try:
            answer: http.client.HTTPResponse = urllib.request.urlopen(  # noqa: S310
                request, timeout=_TIMEOUT
            )
        except urllib.error.HTTPError as error:
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._validator = ""  # the next try begins again
            raise
        return answer
