"""What a delta builds on, taken from a store."""

from __future__ import annotations

from collections.abc import Sequence

from bundles.format import layout
from bundles.reading import doctree
from bundles.reading.base import BaseBundle
from bundles.reading.missing import MissingBase, named
from bundles.reading.verify import DamagedDocument
from bundles.store.errors import StoreError
from bundles.store.protocol import Store


class StoredBase:
    """What a delta builds on, in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.has, self.open = store.has, store.open

    def documents(self, bundles: Sequence[BaseBundle]) -> bytes:
        """The documents of `bundles`, as `head.read_head` takes them. Raises `MissingBase`."""
        try:
            trees = [doctree.read(b.root, self._fetch, f"{b.name} {b.version}") for b in bundles]
            return b"".join(data for tree in trees for _, data in tree.documents)
        except (StoreError, DamagedDocument) as error:
            raise MissingBase(
                f"{self._store} lacks documents of {named(bundles)}, which this delta builds on:"
                f" {error.message}",
                hint=f"import {named(bundles)} first, then this one",
                bundles=[f"{b.name} {b.version}" for b in bundles],
            ) from error

    def _fetch(self, digest: str) -> bytes:
        return self._store.read(digest, layout.MAX_DOCUMENT)
