"""Stores of verified content, and how one is opened by its address."""

from __future__ import annotations

from pathlib import Path

from bundles.store.local import LocalStore
from bundles.store.protocol import BundleRef, Refs, Store

__all__ = ["BundleRef", "Refs", "Store", "open_store"]


def open_store(address: str | Path) -> LocalStore:
    """The store at `address`, a folder."""
    return LocalStore(Path(address))
