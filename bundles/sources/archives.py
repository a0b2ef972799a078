"""Images in a tar: what `docker save`, `crane pull` and `skopeo copy` write.

Source: Docker image specification 1.2, "Combined Image JSON + Filesystem Changeset Format"
(docker-archive), and the OCI image layout in a tar (oci-archive). The names in it lead to its own
members and never to a file system. What is taken is copied into the cache, by digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from bundles import digest as digests
from bundles.errors import shown
from bundles.format import canonical
from bundles.format import image as images
from bundles.format.image import BadImage, Blob
from bundles.format.layout import MANIFEST_TYPE
from bundles.sources.artifact import SourceFault, unreadable
from bundles.sources.url import Downloads

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_MEMBERS = 100_000
_CHUNK = 1024 * 1024
_HINT = "make it again with `docker save` or `skopeo copy`"


class Archive:
    """The `Origin` that is a tar."""

    def __init__(self, path: Path, downloads: Downloads) -> None:
        """Raises `SourceFault` or `BadImage`."""
        self._path, self._downloads = path, downloads
        self._members = self._list()

    def is_layout(self) -> bool:
        """Whether it holds an OCI image layout."""
        return images.MARKER in self._members and images.INDEX in self._members

    def images(self) -> list[Blob]:
        """The images of the layout in it. Raises `BadImage`."""
        return images.read_index(self._small(images.INDEX), shown(self._path))

    def document(self, digest: str) -> bytes:
        """See `Origin`. Raises `SourceFault` or `BadImage`."""
        kept = self._downloads.path(digest)
        if kept.exists() and kept.stat().st_size <= images.MAX_MANIFEST:
            return kept.read_bytes()
        return self._small(images.BLOBS + digests.hex_of(digest))

    def file(self, blob: Blob) -> Path:
        """See `Origin`. Raises `SourceFault` or `BadImage`."""
        kept = self._downloads.path(blob.digest)
        if kept.exists() and kept.stat().st_size == blob.size:
            return kept
        digest, _ = self._keep(blob.path)
        if digest != blob.digest:
            raise BadImage(f"{shown(self._path)}: {blob.path} is {digest}", hint=_HINT)
        return kept

    def convert(self, name: str | None) -> Blob:
        """Makes an image of what `docker save` wrote: config and layers stay as they are, the
        manifest follows from them. Raises `SourceFault` or `BadImage`."""
        where = shown(self._path)
        said = self._json("manifest.json")
        try:
            entries = [e for e in said if name is None or name in (e.get("RepoTags") or ())]
            if len(entries) != 1:
                there = ", ".join(tag for e in said for tag in e.get("RepoTags") or ()) or "none"
                asked = f"{len(entries)} images" + (f" named {name!r}" if name else "")
                raise BadImage(f"{where} holds {asked}", hint=f"name one of these: {there}")
            (entry,) = entries
            tags, layers = entry.get("RepoTags") or [], list(entry["Layers"])
            config = self._small(entry["Config"])
            diffs = json.loads(config)["rootfs"]["diff_ids"]
            if len(diffs) != len(layers):
                raise BadImage(f"{where} has {len(layers)} layers, its config {len(diffs)}")
            parts = [self._layer(*pair) for pair in zip(layers, diffs, strict=True)]
            tag = str(name or tags[0]).rpartition(":")[2] if tags else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadImage(f"{where} is not what `docker save` writes: {error!r}") from error
        self._downloads.keep(config)
        parts.insert(0, {"digest": digests.of(config), "mediaType": _CONFIG, "size": len(config)})
        manifest = canonical.dumps(
            {
                "config": parts[0],
                "layers": parts[1:],
                "mediaType": MANIFEST_TYPE,
                "schemaVersion": 2,
            }
        )
        self._downloads.keep(manifest)
        return Blob(MANIFEST_TYPE, digests.of(manifest), len(manifest), name=tag)

    def _layer(self, member: str, diff: str) -> dict[str, object]:
        """A layer is what its config says, as it is or once unpacked."""
        digest, size = self._keep(member)
        kind = _LAYER
        if digest != diff:
            kind += "+gzip"
            unpacked = _unpacked(self._downloads.path(digest))
            if unpacked != diff:
                raise BadImage(
                    f"{shown(self._path)}: the layer {shown(member)} is {unpacked or digest},"
                    f" the config says {diff}",
                    hint=_HINT,
                )
        return {"digest": digest, "mediaType": kind, "size": size}

    def _list(self) -> dict[str, tarfile.TarInfo]:
        found: dict[str, tarfile.TarInfo] = {}
        where = shown(self._path)
        try:
            with tarfile.open(self._path, "r:") as archive:
                for member in archive:
                    name = member.name.removeprefix("./").rstrip("/")
                    if name.startswith("/") or ".." in name.split("/"):
                        raise BadImage(f"{where}: the entry {name!r} leaves the archive")
                    if member.isdir():
                        continue
                    if not (member.isreg() or member.issym() or member.islnk()) or member.sparse:
                        raise BadImage(f"{where}: the entry {name!r} is no plain file")
                    if name in found:
                        raise BadImage(f"{where}: the entry {name!r} stands there twice")
                    if len(found) >= _MEMBERS:
                        raise BadImage(f"{where} has more than {_MEMBERS} entries")
                    found[name] = member
        except tarfile.TarError as error:
            raise SourceFault(
                f"{where} is not a tar that can be read: {error}",
                hint="a compressed one must be unpacked first (gunzip)",
            ) from error
        except OSError as error:
            raise unreadable(str(self._path), error) from error
        return found

    def _open(self, name: str) -> Iterator[bytes]:
        """The bytes of a member. Docker writes a layer that it has written already as a link."""
        where, asked = shown(self._path), name
        member = self._members.get(name)
        if member is not None and not member.isreg():
            target = member.linkname.removeprefix("./")
            if member.issym():
                target = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
            member = self._members.get(target)
        if member is None or not member.isreg():
            raise BadImage(f"{where} has no {asked!r}, which it names itself", hint=_HINT)
        try:
            with open(self._path, "rb") as file:
                file.seek(member.offset_data)
                yield from _exactly(file, member.size, f"{where}: {asked}")
        except OSError as error:
            raise unreadable(str(self._path), error) from error

    def _small(self, name: str) -> bytes:
        data = b""
        for chunk in self._open(name):
            data += chunk
            if len(data) > images.MAX_MANIFEST:
                raise BadImage(
                    f"{shown(self._path)}: {shown(name)} has more than {images.MAX_MANIFEST} bytes"
                )
        return data

    def _json(self, name: str) -> Any:
        data = self._small(name)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BadImage(f"{shown(self._path)}: {name} is not JSON: {error}") from error

    def _keep(self, name: str) -> tuple[str, int]:
        """Copies a member into the cache; its digest and size."""
        hashed, size = hashlib.sha256(), 0
        of = hashlib.sha256(f"{self._path}:{name}".encode()).hexdigest()
        with self._downloads.incoming(of) as partial:
            with open(partial, "wb") as file:
                for chunk in self._open(name):
                    hashed.update(chunk)
                    file.write(chunk)
                    size += len(chunk)
            digest = digests.PREFIX + hashed.hexdigest()
            os.replace(partial, self._downloads.path(digest))
        return digest, size


def _exactly(file: IO[bytes], size: int, where: str) -> Iterator[bytes]:
    while size:
        data = file.read(min(size, _CHUNK))
        if not data:
            raise BadImage(f"{where} is cut short", hint=_HINT)
        size -= len(data)
        yield data


def _unpacked(path: Path) -> str:
    """The digest of what a gzip holds, read in pieces; nothing where it is none."""
    hashed = hashlib.sha256()
    unpack = zlib.decompressobj(wbits=31)
    try:
        with open(path, "rb") as file:
            while data := file.read(_CHUNK):
                while data:
                    hashed.update(unpack.decompress(data, _CHUNK))
                    data = unpack.unconsumed_tail
                if unpack.unused_data:
                    return ""
        hashed.update(unpack.flush())
    except zlib.error:
        return ""
    return digests.PREFIX + hashed.hexdigest() if unpack.eof else ""
