"""What a store can do: content-addressed blobs, and refs that switch in one step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class BundleRef:
    """One imported bundle version, as the refs record it."""

    name: str
    version: str
    sequence: int
    root: str  # digest of the root index
    root_size: int  # bytes
    statement: str  # digest of the statement blob
    signatures: tuple[str, ...]  # digests of the signature blobs
    imported: str  # RFC 3339, UTC
    current: bool  # what /v1/artifacts/NAME/... serves
    overruled: tuple[str, ...] = ()  # codes of refusals that a person overruled at import


@dataclass(frozen=True, slots=True)
class Refs:
    """All refs at one moment. `sequences` keeps the highest sequence ever imported per name."""

    bundles: tuple[BundleRef, ...] = ()
    sequences: dict[str, int] = field(default_factory=dict)

    def current(self, name: str) -> BundleRef | None:
        """The version of bundle `name` that is served without a version, if any."""
        return next((ref for ref in self.bundles if ref.name == name and ref.current), None)

    def version(self, name: str, version: str) -> BundleRef | None:
        """One imported version of bundle `name`, if it is here."""
        return next(
            (ref for ref in self.bundles if ref.name == name and ref.version == version), None
        )


class Store(Protocol):
    """Blobs by digest (``sha256:<64 hex>``) and the refs.

    Every read may raise `StoreError` (bundles.store.errors) when the backend fails, and
    `BlobMissing` when a digest is not here.
    """

    name: str  # "local" or "s3", the label of its metrics

    def has(self, digest: str) -> bool:
        """Whether the blob is here, whole."""

    def size(self, digest: str) -> int:
        """The blob's size in bytes."""

    def open(self, digest: str) -> BinaryIO:
        """The blob as a seekable binary stream."""

    def read(self, digest: str, limit: int) -> bytes:
        """The whole blob, refused when longer than `limit` bytes."""

    def path(self, digest: str) -> Path | None:
        """The blob's file for sendfile, or None where the backend has no files."""

    def digests(self) -> Iterator[str]:
        """Every blob here, in no order."""

    def refs(self) -> Refs:
        """The refs as they are now."""

    def refs_token(self) -> object:
        """A cheap value that changes whenever the refs do (for caches)."""
