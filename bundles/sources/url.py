"""The content type `url`: a file fetched over HTTP, pinned by the lock, kept in a cache.

The cache is addressed by digest, so a file in it is what the lock asks for or is not used; a
build with a filled cache needs no network.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.progress import Progress
from bundles.sources.artifact import Artifact, SourceFile
from bundles.sources.credentials import Credentials, nobody
from bundles.sources.lock import Pin
from bundles.sources.transfer import DownloadFailed, Sleep, Transfer, in_tries

# The characters of RFC 3986, sections 2.1 to 2.3; anything else must come percent-encoded.
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")


class InputChanged(GooseError):
    """A remote input is no longer what the lock pins."""

    code = "input-changed"
    default_hint = "if the change is wanted, renew the lock with `goosectl bundle lock`"


class Downloads:
    """A cache folder of downloaded files, named by digest.

    `sleep` waits between tries (seconds); `credentials` are for registries.
    """

    def __init__(
        self, folder: Path, sleep: Sleep = time.sleep, credentials: Credentials = nobody
    ) -> None:
        self._folder, self.sleep, self.credentials = folder, sleep, credentials

    def pin(self, url: str, progress: Progress) -> Pin:
        """Fetches `url` and pins what came. Raises `DownloadFailed`."""
        check_address(url)
        with self.incoming(hashlib.sha256(url.encode()).hexdigest()) as path:
            progress.start(f"fetching {url}", None)
            in_tries(Transfer(url, path, progress).run, url, self.sleep)
            progress.finish()
            with open(path, "rb") as file:
                digest = digests.PREFIX + hashlib.file_digest(file, "sha256").hexdigest()
            os.replace(path, self.path(digest))
        return Pin(url, digest, self.path(digest).stat().st_size)

    def expand(self, pin: Pin, title: str, progress: Progress) -> Artifact:
        """The pinned file, served as `title`; fetched unless the cache has it.

        Raises `DownloadFailed`, or `InputChanged` with both digests.
        """
        path = self.path(pin.digest)
        if not path.exists():
            found = self.pin(pin.url, progress)
            if found.digest != pin.digest:
                raise InputChanged(
                    f"{pin.url} is {found.digest} ({found.size} bytes),"
                    f" the lock pins {pin.digest} ({pin.size} bytes)"
                )
        name = title.rsplit("/", 1)[-1]
        size = path.stat().st_size
        file = SourceFile(name, size, 0o644, str(path), digest=pin.digest)
        return Artifact("file", title, (file,))

    def path(self, digest: str) -> Path:
        """Where the cache has what has this digest, if it has it."""
        return self._folder / digests.hex_of(digest)

    def keep(self, data: bytes) -> Path:
        """Puts `data` into the cache; returns where. Raises OSError."""
        path = self.path(digests.of(data))
        if not path.exists():
            with self.incoming(path.name) as partial:
                partial.write_bytes(data)
                os.replace(partial, path)
        return path

    @contextmanager
    def incoming(self, name: str) -> Iterator[Path]:
        """Where something on its way is written, to be renamed when it is whole; what is still
        there at the end goes."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f".{name}.{os.getpid()}.partial"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


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
