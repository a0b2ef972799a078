"""A store with content, made through the store's own way in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bundles import digest
from bundles.format import layout
from bundles.store import BundleRef, S3Address, Store, open_store
from bundles.store.refs import with_bundle

Content = bytes | Sequence[bytes]  # whole, or in parts


def make_store(
    at: Path | S3Address,
    files: Mapping[str, Content],
    *,
    name: str = "site-base",
    version: str = "1.0",
    sequence: int = 1,
) -> Store:
    """A store that holds `files` as the current version of one bundle."""
    store = open_store(at)
    blobs: dict[str, bytes] = {}

    def keep(data: bytes) -> str:
        blobs[digest.of(data)] = data
        return digest.of(data)

    manifests = []
    for path, content in files.items():
        parts = [content] if isinstance(content, bytes) else list(content)
        whole = digest.of(b"".join(parts))
        leaf = path.rpartition("/")[2]
        layers = [
            layout.Layer(leaf, len(part), 0o644, number, len(parts)).encode(keep(part), whole)
            for number, part in enumerate(parts, 1)
        ]
        kind = layout.ARTIFACT_TYPES["file"]
        data = layout.encode_manifest(kind, path, layers)
        manifests.append(layout.Descriptor(layout.MANIFEST_TYPE, kind, keep(data), len(data), path))
    root = layout.encode_index(layout.BUNDLE_TYPE, name, manifests)
    ref = BundleRef(
        name, version, sequence, keep(root), len(root), keep(b"{}"), (),
        imported="2026-11-24T12:00:00Z", current=True,
    )  # fmt: skip
    with store.ingest(ref.root) as ingest:
        for blob, data in blobs.items():
            if not ingest.has(blob, len(data)):
                ingest.put(blob, data)
        ingest.publish(lambda refs: with_bundle(refs, ref))
    return store
