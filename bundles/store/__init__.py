"""Stores of verified content, and how one is opened by its address."""

from __future__ import annotations

from pathlib import Path

from bundles.store.local import LocalStore
from bundles.store.protocol import BundleRef, Refs, Store
from bundles.store.s3.address import S3Address

__all__ = ["BundleRef", "Refs", "S3Address", "Store", "open_store"]


def open_store(address: str | Path | S3Address) -> Store:
    """The store at `address`: a folder, or a bucket and the key to it."""
    if isinstance(address, S3Address):
        from bundles.store.s3.store import S3Store  # its client is slow to load

        return S3Store(address)
    return LocalStore(Path(address))
