"""A client of registries, as much of one as fetching takes.

Source: OCI distribution specification 1.1, "Pulling"; the token protocol of distribution
(docs/spec/auth/token). Nothing that a registry says is believed: the caller knows the digest of
all but what a tag names, and pins that.

Passwords go to the registry itself, and to the place that it names for tokens: over TLS, or on this
machine. No header of ours follows a redirect, which leads to another's storage.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format.image import INDEXES, MANIFESTS, MAX_MANIFEST, BadImage, Blob
from bundles.progress import Progress
from bundles.sources.reference import Remote, is_loopback
from bundles.sources.transfer import DownloadFailed, Transfer, in_tries, urlopen
from bundles.sources.url import Downloads

_MAX_TOKEN = 1024 * 1024  # bytes of the answer that has a token
_PARAMETER = re.compile(r'([a-z]+)="([^"\x00-\x1f]*)"')


class RegistryRefused(GooseError):
    """A registry does not let us in."""

    code = "registry-refused"
    default_hint = "log in with `skopeo login` or `docker login`, then run the command again"


class Registry:
    """One repository of a registry, with a cache by digest before it. Not safe for threads."""

    def __init__(self, of: Remote, downloads: Downloads, progress: Progress) -> None:
        self._of, self._downloads, self._progress = of, downloads, progress
        self._authorization = ""

    def resolve(self) -> bytes:
        """The manifest or index under the tag, or else the digest, of the reference. Raises
        `DownloadFailed`, `RegistryRefused` or `BadImage`."""
        data = self._manifest(self._of.digest or self._of.tag or "")
        if self._of.digest not in (None, digests.of(data)):
            raise _lies(f"{self._of}: the manifest", digests.of(data))
        self._downloads.keep(data)
        return data

    def document(self, digest: str) -> bytes:
        """The manifest or index with this digest; raises as `resolve` does."""
        path = self._downloads.path(digest)
        if path.exists():
            data = path.read_bytes()
            if digests.of(data) == digest:
                return data
        data = self._manifest(digest)
        if digests.of(data) != digest:
            raise _lies(f"{self._of}: the manifest {digest}", digests.of(data))
        self._downloads.keep(data)
        return data

    def file(self, blob: Blob) -> Path:
        """Where a config or layer is, fetched unless the cache has it; raises as `resolve` does."""
        path = self._downloads.path(blob.digest)
        if path.exists() and path.stat().st_size == blob.size:
            return path
        url = f"{self._of.base}/blobs/{blob.digest}"
        with self._downloads.incoming(path.name) as partial:
            self._progress.start(f"fetching {self._of.repository}@{blob.digest}", blob.size)
            transfer = Transfer(url, partial, self._progress, self._ask, blob.size)
            in_tries(transfer.run, url, self._downloads.sleep)
            self._progress.finish()
            with open(partial, "rb") as file:
                found = digests.PREFIX + hashlib.file_digest(file, "sha256").hexdigest()
            if found != blob.digest:
                raise _lies(f"{self._of}: the blob {blob.digest}", found)
            os.replace(partial, path)
        return path

    def _manifest(self, reference: str) -> bytes:
        url = f"{self._of.base}/manifests/{reference}"
        request = urllib.request.Request(  # noqa: S310 - https, or this machine
            url, headers={"Accept": ", ".join((*INDEXES, *MANIFESTS))}
        )

        def step() -> bytes:
            with self._ask(request) as answer:
                data = answer.read(MAX_MANIFEST + 1)
                if len(data) > MAX_MANIFEST:
                    raise BadImage(f"{url} has more than {MAX_MANIFEST} bytes")
                if answer.length:
                    raise ConnectionError(f"the connection ended {answer.length} bytes early")
                return data

        return in_tries(step, url, self._downloads.sleep)

    def _ask(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """The answer, once we are let in. Raises as `urlopen` does, or `RegistryRefused`."""
        for fresh in (False, True):
            if self._authorization:
                request.add_unredirected_header("Authorization", self._authorization)
            try:
                return urlopen(request)
            except urllib.error.HTTPError as error:
                if error.code != http.client.UNAUTHORIZED:
                    raise
                challenges = error.headers.get_all("WWW-Authenticate", [])
                error.close()
                if fresh:
                    break
                self._authorization = self._answer_to(challenges)
        raise RegistryRefused(f"{self._of}: the registry refuses who asks, 401")

    def _answer_to(self, challenges: Sequence[str]) -> str:
        secret = self._downloads.credentials(self._of.host)
        basic = f"Basic {base64.b64encode(secret.encode()).decode()}" if secret else ""
        for challenge in challenges:
            scheme, _, rest = challenge.partition(" ")
            if scheme.lower() == "bearer":
                return f"Bearer {self._token(dict(_PARAMETER.findall(rest)), basic)}"
            if scheme.lower() == "basic" and basic:
                return basic
        raise RegistryRefused(f"{self._of}: the registry wants a name and a password")

    def _token(self, asked: dict[str, str], basic: str) -> str:
        realm = asked.get("realm", "")
        parts = urllib.parse.urlsplit(realm)
        here = is_loopback(self._of.host) and is_loopback(parts.netloc)
        if not (parts.scheme == "https" or (parts.scheme == "http" and here)):
            raise RegistryRefused(
                f"{self._of}: the registry sends us for a token to {realm!r}, without TLS",
                hint="do not log in there: ask who runs the registry",
            )
        query = {"service": asked.get("service", ""), "scope": f"repository:{self._of.name}:pull"}
        joint = "&" if parts.query else "?"
        request = urllib.request.Request(realm + joint + urllib.parse.urlencode(query))  # noqa: S310
        if basic:
            request.add_unredirected_header("Authorization", basic)
        try:
            with urlopen(request) as answer:
                value = json.loads(answer.read(_MAX_TOKEN))
            token = value.get("token") or value["access_token"]
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
                raise RegistryRefused(f"{self._of}: {parts.netloc} gives no token") from error
            raise
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise DownloadFailed(f"{realm} gave no token that can be read") from error
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise DownloadFailed(f"{realm} gave no token that can be sent")
        return token


def _lies(what: str, found: str) -> BadImage:
    return BadImage(f"{what} is {found}", hint="do not use that registry: ask who runs it")
