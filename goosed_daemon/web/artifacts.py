"""GET and HEAD /v1/artifacts/{bundle}/{path}: content of imported bundles.

A path is looked up in the catalog of its bundle and never meets the file system, so no path can
leave the store.
"""

from __future__ import annotations

from difflib import get_close_matches
from itertools import islice

from aiohttp import web

from bundles.site.catalog import Catalog
from goosed_daemon.errors import ArtifactMissing
from goosed_daemon.web.content import Sender, steady
from goosed_daemon.web.deps import Deps
from goosed_daemon.web.lookup import Lookup
from goosed_daemon.workflow import rows

_COMPARED = 2_000  # names at most that a wrong one is compared with


class Artifacts:
    """The handler."""

    def __init__(self, deps: Deps, lookup: Lookup, sender: Sender) -> None:
        self._deps = deps
        self._lookup = lookup
        self._sender = sender

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Answers for one file."""
        response = await steady(self._deps, lambda: self._answer(request))
        if request.method == "GET" and response.status in (200, 206, 307) and request.query_string:
            self._deps.sightings.fetched(request.query.get("by", ""), self._deps.clock())
            await self._deps.join(rows.trace_of_token, request.query.get("by", ""))
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name, _, version = request.match_info["bundle"].partition("@")
        path = request.match_info["path"]
        file = await self._lookup.find(name, version or None, path)
        if file is None:
            raise await self._deps.in_store(
                explain, self._deps.catalog, name, version or None, path
            )
        return await self._sender.answer(request, file)


def explain(catalog: Catalog, name: str, version: str | None, path: str) -> ArtifactMissing:
    """What is missing, and what there is that comes near it."""
    bundles = catalog.refs().bundles
    names = sorted({ref.name for ref in bundles})
    if name not in names:
        return ArtifactMissing(
            f"no bundle {name!r} is imported",
            hint=_near(name, names, "nothing is imported yet: see `goosectl bundle import`"),
            bundle=name,
        )
    if catalog.ref(name, version) is None:
        versions = [ref.version for ref in bundles if ref.name == name]
        return ArtifactMissing(
            f"bundle {name} has no version {version!r} here"
            if version is not None
            else f"bundle {name} has no current version here",
            hint=_near(version or "", versions, ""),
            bundle=name,
            version=version,
        )
    folder, here = _deepest(catalog, name, version, path)
    return ArtifactMissing(
        f"bundle {name} has no file {path!r}",
        hint=_near(path, [folder + entry for entry in here], "the bundle is empty"),
        bundle=name,
        path=path,
    )


def _deepest(catalog: Catalog, name: str, version: str | None, path: str) -> tuple[str, list[str]]:
    """The longest folder of `path` that exists, and what is in it."""
    folder = path
    while True:
        folder = folder.rpartition("/")[0]
        prefix = folder + "/" if folder else ""
        inside = (
            file.path[len(prefix) :]
            for file in catalog.list(name, version)
            if file.path.startswith(prefix)
        )
        entries = {
            entry.partition("/")[0] + ("/" if "/" in entry else ""): None for entry in inside
        }
        if entries or not folder:
            return prefix, list(islice(entries, _COMPARED))


def _near(name: str, known: list[str], otherwise: str) -> str:
    near = get_close_matches(name[:200], known, 1, 0.6)
    if near:
        return f"did you mean {near[0]}?"
    if not known:
        return otherwise
    shown = ", ".join(known[:5]) + (", ..." if len(known) > 5 else "")
    return f"there is: {shown}"
