"""Imports that have not ended, as an S3 store knows them.

``staging/<hex>/import`` says that the import of the bundle with that root brought something, and
``staging/<hex>/<hex>`` that it began to send a large blob in parts. Both are empty objects; they go
when the bundle is published.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bundles import digest as digests
from bundles.store.protocol import Leftover
from bundles.store.s3.keys import STAGING, blob_key, staging_key
from bundles.store.s3.multipart import Multipart, OpenUpload
from bundles.store.s3.wire import Listed, Wire

_IMPORT = "import"


class Notes:
    """What one import notes about itself before it does it. Safe to use from several threads."""

    def __init__(self, wire: Wire, root: str) -> None:
        self._wire, self._root = wire, root
        self._lock = threading.Lock()
        prefix = staging_key(root)
        self._known = {found.key.removeprefix(prefix) for found in wire.list(prefix)}

    def began(self) -> None:
        """The import is about to bring something."""
        self._note(_IMPORT)

    def began_large(self, digest: str) -> None:
        """It is about to send a blob in parts."""
        self._note(digests.hex_of(digest))

    def forget(self) -> None:
        """The import has ended."""
        with self._lock:
            for name in sorted(self._known):
                self._wire.delete(staging_key(self._root, name))
            self._known.clear()

    def _note(self, name: str) -> None:
        with self._lock:
            if name not in self._known:
                self._wire.put(staging_key(self._root, name), b"")
                self._known.add(name)


@dataclass(slots=True)
class _Import:
    notes: list[Listed] = field(default_factory=list)
    uploads: list[OpenUpload] = field(default_factory=list)


class Unfinished:
    """All of them, for a clean-up."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._multipart = Multipart(wire)

    def leftovers(self) -> Sequence[Leftover]:
        """See `bundles.store.protocol.Maintenance.leftovers`."""
        return [self._leftover(name, found) for name, found in sorted(self._imports().items())]

    def discard(self, leftover: Leftover) -> None:
        """Gives up its uploads, but for those that another import would go on with too."""
        imports = self._imports()
        found = imports.pop(leftover.name, _Import())
        shared = {upload.upload for other in imports.values() for upload in other.uploads}
        for upload in found.uploads:
            if upload.upload not in shared:
                self._multipart.abort(upload.key, upload.upload)
        for note in found.notes:
            self._wire.delete(note.key)

    def _imports(self) -> dict[str, _Import]:
        imports: dict[str, _Import] = {}
        for note in self._wire.list(STAGING):
            root, _, name = note.key.removeprefix(STAGING).partition("/")
            found = imports.setdefault(root, _Import())
            found.notes.append(note)
            if name != _IMPORT:
                found.uploads += self._multipart.open(blob_key(digests.PREFIX + name))
        return imports

    def _leftover(self, name: str, found: _Import) -> Leftover:
        times: list[datetime] = [note.modified for note in found.notes]
        size = sum(
            part.size
            for upload in found.uploads
            for part in self._multipart.parts(upload.key, upload.upload).values()
        )
        return Leftover(name, size, max(times), digests.PREFIX + name)
