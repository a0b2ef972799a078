"""GET and HEAD /v2/...: the images and charts of imported bundles, as a registry that is only read.

Source: OCI distribution specification 1.1, "Pull" and "Content Discovery".
"""

from __future__ import annotations

import json
from difflib import get_close_matches

from aiohttp import web

from bundles import digest as digests
from bundles.format.image import REPOSITORY, TAG
from bundles.site.images import Image, Images
from goosed_daemon.errors import (
    BadQuery,
    DigestInvalid,
    ImageBlobUnknown,
    ManifestUnknown,
    RepositoryUnknown,
)
from goosed_daemon.web.content import Sender, steady
from goosed_daemon.web.deps import Deps

_DIGEST = "Docker-Content-Digest"
_MOST = 10_000  # tags in one answer


class Registry:
    """The handlers."""

    def __init__(self, deps: Deps, sender: Sender) -> None:
        self._deps = deps
        self._images = Images(deps.catalog)
        self._sender = sender

    async def version(self, request: web.Request) -> web.Response:
        """That it is a registry."""
        headers = {"Docker-Distribution-API-Version": "registry/2.0"}
        return web.Response(body=b"{}\n", content_type="application/json", headers=headers)

    async def manifest(self, request: web.Request) -> web.StreamResponse:
        """A manifest or index, by tag or by digest."""
        return await steady(self._deps, lambda: self._manifest(request))

    async def blob(self, request: web.Request) -> web.StreamResponse:
        """A config or layer, by digest."""
        return await steady(self._deps, lambda: self._blob(request))

    async def tags(self, request: web.Request) -> web.Response:
        """The tags of a repository, in order; of many a part, as `n` and `last` ask for it."""
        name, images = await self._repository(request)
        found = sorted({image.tag for image in images})
        if last := request.query.get("last"):
            found = [tag for tag in found if tag > last]
        most = _count(request.query.get("n"))
        headers = {}
        if len(found) > most:
            found = found[:most]
            if found:
                headers["Link"] = f'</v2/{name}/tags/list?n={most}&last={found[-1]}>; rel="next"'
        body = json.dumps({"name": name, "tags": found}).encode() + b"\n"
        return web.Response(body=body, content_type="application/json", headers=headers)

    async def _manifest(self, request: web.Request) -> web.StreamResponse:
        name, images = await self._repository(request)
        reference = request.match_info["reference"]
        if not TAG.fullmatch(reference):
            _check(reference)
        found = await self._deps.in_store(self._images.manifest, images, reference)
        if found is None:
            tags = ", ".join(sorted({image.tag for image in images})[:5])
            raise ManifestUnknown(
                f"{name} has no manifest {reference[:80]!r}", hint=f"there is: {tags}"
            )
        headers = {"Content-Type": found.media_type, _DIGEST: found.digest}
        return await self._sender.answer(request, found.file, headers)

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        digest = _check(request.match_info["digest"])
        name, images = await self._repository(request)
        file = await self._deps.in_store(self._images.blob, images, digest)
        if file is None:
            raise ImageBlobUnknown(f"{name} has no blob {digest}")
        return await self._sender.answer(request, file, {_DIGEST: digest})

    async def _repository(self, request: web.Request) -> tuple[str, list[Image]]:
        name = request.match_info["name"]
        found = []
        if REPOSITORY.fullmatch(name):
            found = await self._deps.in_store(self._images.of, name)
        if not found:
            known = await self._deps.in_store(self._images.repositories)
            near = get_close_matches(name[:200], known, 1) or known[:5]
            raise RepositoryUnknown(
                f"no imported bundle has an image {name[:200]!r}",
                hint=f"there is: {', '.join(near)}" if near else None,
            )
        return name, found


def _check(digest: str) -> str:
    try:
        return digests.check(digest, "the address")
    except digests.BadDigest as error:
        raise DigestInvalid(error.message) from error


def _count(text: str | None) -> int:
    if text is None:
        return _MOST
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise BadQuery("n is no whole number")
    return min(int(text), _MOST)
