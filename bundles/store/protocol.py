"""What a store can do: content-addressed blobs, and refs that switch in one step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol, Self


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
    pinned: bool = False  # a person wants it kept: no clean-up drops it


@dataclass(frozen=True, slots=True)
class Refs:
    """All refs at one moment."""

    bundles: tuple[BundleRef, ...] = ()
    sequences: dict[str, int] = field(default_factory=dict)  # the highest ever imported, per name

    def current(self, name: str) -> BundleRef | None:
        """The version of bundle `name` that is served without a version, if any."""
        return next((ref for ref in self.bundles if ref.name == name and ref.current), None)

    def version(self, name: str, version: str) -> BundleRef | None:
        """One imported version of bundle `name`, if it is here."""
        return next(
            (ref for ref in self.bundles if ref.name == name and ref.version == version), None
        )


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """One blob of a store, as a listing tells of it: nothing was read."""

    digest: str
    size: int  # bytes
    modified: datetime  # when it was stored; aware


@dataclass(frozen=True, slots=True)
class Leftover:
    """An import that has not ended: what it brought is kept for the run that goes on.

    Of what it brought some may be among the store's blobs already; no ref leads there yet.
    """

    name: str  # for `Maintenance.discard`, and for people
    size: int  # bytes that are not among the store's blobs
    modified: datetime  # when it was last added to; aware
    root: str  # digest of the root index of its bundle


class Store(Protocol):
    """Blobs by digest (``sha256:<64 hex>``) and the refs; ``str()`` of it names it to people.

    Every call may raise `StoreError` (bundles.store.errors) when the backend fails, and those that
    name a blob `BlobMissing` when it is not here. Safe to use from several threads.
    """

    name: str  # "local" or "s3", the label of its metrics
    remote: bool  # whether every call, also `refs_token`, may wait for a network

    def has(self, digest: str) -> bool:
        """Whether the blob is here, whole."""

    def size(self, digest: str) -> int:
        """The blob's size in bytes."""

    def open(self, digest: str) -> BinaryIO:
        """The blob as a seekable binary stream."""

    def read(self, digest: str, limit: int) -> bytes:
        """The whole blob, refused when longer than `limit` bytes.

        Its bytes are hashed: raises `BlobDamaged` when they are not the digest's.
        """

    def path(self, digest: str) -> Path | None:
        """The blob's file for sendfile, or None where the backend has no files."""

    def url(self, digest: str, seconds: int) -> str | None:
        """An address at which anyone can read the blob for `seconds`, or None where there is no
        such thing."""

    def blobs(self) -> Iterator[StoredBlob]:
        """Every blob here, in no order."""

    def refs(self) -> Refs:
        """The refs as they are now. Raises `BadRefs` where they cannot be read."""

    def previous_refs(self) -> Refs:
        """The refs before the last switch; raises as `refs` does."""

    def refs_token(self) -> object:
        """A cheap value that changes whenever the refs do (for caches), at most a second late."""

    def free(self) -> int | None:
        """Bytes that may still be written, or None where the backend cannot tell."""

    def ingest(self, root: str) -> Ingest:
        """Takes the store for the import of the bundle with root digest `root`.

        Raises `StoreBusy` while another import or clean-up has it.
        """

    def maintain(self) -> Maintenance:
        """Takes the store for clean-up. Raises `StoreBusy` while another one has it."""


class Ingest(Protocol):
    """One import at work, which has the store to itself; a context manager.

    It stores what it is given, which must have been verified. `publish` is the one step that
    readers see. `has`, `put` and `create` may be called from several threads. What was given
    before a crash is found again by the next import of the same bundle.
    """

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None: ...

    def has(self, digest: str, size: int) -> bool:
        """Whether the blob is in the store, or was given to this or an earlier run.

        One of another size than `size` was damaged since: it counts as missing and is replaced.
        """

    def put(self, digest: str, data: bytes | memoryview) -> None:
        """Takes a small blob. Raises `StoreFull` or `StoreError`, at the latest in `checkpoint`."""

    def create(self, digest: str) -> NewBlob:
        """Takes a blob piece by piece."""

    def checkpoint(self) -> None:
        """Makes all that was given durable."""

    def publish(self, change: Callable[[Refs], Refs]) -> Refs:
        """Makes all durable, then switches the refs to what `change` makes of them.

        `change` may be called again, with other refs, when another writer was faster.
        """


class NewBlob(Protocol):
    """A blob on its way in: a context manager. Nobody sees it before it is left, nor ever when it
    is left by an exception."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None: ...

    def write(self, data: bytes | memoryview) -> None:
        """Appends `data`, which may be used again after the call."""


class Maintenance(Protocol):
    """Clean-up at work, which has the store to itself; a context manager."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None: ...

    def remove(self, digest: str) -> None:
        """Removes a blob; one that is not here is gone already. Who has its file open reads on."""

    def quarantine(self, digest: str) -> str:
        """Takes a damaged blob out of the store, so that the next import brings it again.

        Returns where it is kept for whoever wants to look at it. Raises `BlobMissing`.
        """

    def leftovers(self) -> Sequence[Leftover]:
        """The imports that have not ended, none of which runs now."""

    def document(self, leftover: Leftover, digest: str, limit: int) -> bytes:
        """A document of an import that has not ended, refused when longer than `limit` bytes.

        Raises `BlobMissing`.
        """

    def discard(self, leftover: Leftover) -> None:
        """Removes it; the import would then begin anew."""

    def publish(self, change: Callable[[Refs], Refs]) -> Refs:
        """Switches the refs, as an import does."""

    def settle(self) -> None:
        """Makes the previous refs those of now, so that none names what is removed next."""
