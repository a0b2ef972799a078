"""Finds stored files without leaving the event loop once a bundle's catalog is in memory."""

from __future__ import annotations

from bundles.site.catalog import StoredFile
from goosed_daemon.web.deps import Deps


class Lookup:
    """Reads a bundle's manifests in a thread at first, and then looks up in memory."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._token: object = self  # of the refs that the set below was filled under
        self._warm: set[tuple[str, str | None]] = set()

    async def find(self, name: str, version: str | None, path: str) -> StoredFile | None:
        """The file, or None. Raises `StoreError`."""
        catalog = self._deps.catalog
        token = await self._deps.look(catalog.store.refs_token)
        if token != self._token:
            self._token, self._warm = token, set()
        if (name, version) in self._warm:
            return await self._deps.look(catalog.find, name, version, path)
        file = await self._deps.in_store(catalog.find, name, version, path)
        if file is not None and token == self._token:
            self._warm.add((name, version))  # only what exists: strangers cannot make it grow
        return file
