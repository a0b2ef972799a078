"""The keys of a store's objects, which make the bucket an OCI image layout."""

from __future__ import annotations

from bundles import digest as digests

BLOBS = "blobs/sha256/"
QUARANTINE = "quarantine/"
STAGING = "staging/"


def blob_key(digest: str) -> str:
    """The key of a blob. Raises `BadDigest`."""
    return BLOBS + digests.hex_of(digest)


def digest_of(key: str) -> str:
    """The digest of the blob under a key."""
    return digests.PREFIX + key.removeprefix(BLOBS)


def staging_key(root: str, name: str = "") -> str:
    """What tells of an import that has not ended, below its root digest."""
    return f"{STAGING}{digests.hex_of(root)}/{name}"
