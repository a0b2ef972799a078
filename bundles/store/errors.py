"""What may go wrong in a store."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from bundles import digest as digests
from bundles.errors import GooseError


class StoreError(GooseError):
    """A store's backend failed."""

    code = "store-failed"
    default_hint = "look at the disk or service behind the store, then run the command again"


class StoreFull(StoreError):
    """A store has no room for what should go in."""

    code = "store-full"
    default_hint = "free the space, then run the same command again: it goes on where it stopped"


class StoreBusy(StoreError):
    """Another import or clean-up holds the store."""

    code = "store-busy"
    default_hint = "wait until it is done, then run the command again"


class BlobMissing(StoreError):
    """A digest is not in the store."""

    code = "blob-missing"
    default_hint = "import the bundle that brings it, or ask for a repair bundle"


class BlobDamaged(StoreError):
    """A blob in the store does not hash to its digest."""

    code = "blob-damaged"
    default_hint = "import again the bundle that brings it, or a repair bundle"


class BadRefs(StoreError):
    """The refs of a store cannot be read."""

    code = "bad-refs"
    default_hint = (
        "copy index.json.previous, or a backup, over the store's index.json;"
        " import again what it lacks"
    )


def checked(data: bytes, digest: str, limit: int, what: str) -> bytes:
    """`data`, if these are the bytes of a blob of at most `limit` bytes; `what` names it.

    Raises `BlobDamaged`, or `StoreError` when it is longer.
    """
    if len(data) > limit:
        raise StoreError(f"{what} is longer than {limit} bytes")
    if digests.of(data) != digest:
        raise BlobDamaged(f"{what} is damaged: its bytes do not hash to it", digest=digest)
    return data


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turns the operating system's errors into a store's: `what` says where they were met."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(f"{what}: no space left") from error
        raise StoreError(f"{what}: {error.strerror or error}") from error
