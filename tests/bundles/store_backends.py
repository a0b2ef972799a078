"""The stores that the conformance tests run over."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bundles import digest as digests
from bundles.store import S3Address, Store, open_store
from tests.s3_server import S3Server


class Backend(Protocol):
    """One empty place for a store, and ways to spoil it behind the store's back."""

    address: Path | S3Address

    def write(self, name: str, data: bytes) -> None:
        """Puts a file or object into the store's layout."""

    def read(self, name: str) -> bytes:
        """The bytes of one."""

    def lose(self, name: str) -> None:
        """Removes one."""

    def names(self) -> set[str]:
        """All there are."""


class LocalBackend:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self.address: Path = folder

    def write(self, name: str, data: bytes) -> None:
        (self.address / name).write_bytes(data)

    def read(self, name: str) -> bytes:
        return (self.address / name).read_bytes()

    def lose(self, name: str) -> None:
        (self.address / name).unlink()

    def names(self) -> set[str]:
        return {str(f.relative_to(self.address)) for f in self.address.rglob("*") if f.is_file()}


class S3Backend:
    """A bucket."""

    def __init__(self, server: S3Server) -> None:
        self.address: S3Address = server.bucket()
        self._client = server.client()

    def write(self, name: str, data: bytes) -> None:
        self._client.put_object(self.address.bucket, name, io.BytesIO(data), len(data))

    def read(self, name: str) -> bytes:
        with self._client.get_object(self.address.bucket, name) as response:
            return response.read()

    def lose(self, name: str) -> None:
        self._client.remove_object(self.address.bucket, name)

    def names(self) -> set[str]:
        found = self._client.list_objects(self.address.bucket, recursive=True)
        return {str(each.object_name) for each in found}


BACKENDS: dict[str, Callable[[Path, Callable[[], S3Server]], Backend]] = {
    "local": lambda folder, server: LocalBackend(folder / "store"),
    "s3": lambda folder, server: S3Backend(server()),
}


def blob_name(digest: str) -> str:
    """Where both kinds of store keep a blob."""
    return f"blobs/sha256/{digests.hex_of(digest)}"


def opened(backend: Backend) -> Store:
    """The store, opened anew."""
    return open_store(backend.address)
