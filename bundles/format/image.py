"""Images as a bundle carries them: an OCI image layout, file by file, below the artifact's title.

Source: OCI image specification 1.1 (image-layout.md, manifest.md, image-index.md, descriptor.md),
and Docker's older forms of manifest and index (distribution, "Image Manifest V 2, Schema 2").

An image's own manifests are content like its layers: their bytes are somebody else's, have any
spelling and must not change, for their digest is the image's name. What is read of them here is
outside input, at the builder as at the site. Nothing here does I/O.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import canonical
from bundles.format.layout import INDEX_TYPE, MANIFEST_TYPE, OCI_LAYOUT, REF_NAME
from bundles.format.paths import BadLayout

MARKER, INDEX, BLOBS = "oci-layout", "index.json", "blobs/sha256/"
MAX_MANIFEST = 4 * 1024 * 1024  # bytes; what registries take and clients read
INDEXES = (INDEX_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = (MANIFEST_TYPE, "application/vnd.docker.distribution.manifest.v2+json")

# The grammars of the OCI distribution specification 1.1, "Pulling manifests".
_PART = "[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*"
REPOSITORY = re.compile(f"{_PART}(?:/{_PART})*")
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
MAX_REPOSITORY = 255  # characters, host and all: the limit of many clients

_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")


class BadImage(GooseError):
    """An image is not of a form that can be carried and served."""

    code = "bad-image"
    default_hint = "look at it with `skopeo inspect --raw` or `crane manifest`, and build it again"


@dataclass(frozen=True, slots=True)
class Blob:
    """What a descriptor of an image says of a blob. `platform` is OS/ARCH[/VARIANT]; `name` is the
    tag, in an ``index.json`` only."""

    media_type: str
    digest: str
    size: int  # bytes
    platform: str | None = None
    name: str | None = None

    @property
    def path(self) -> str:
        """Where it lies in a layout."""
        return BLOBS + digests.hex_of(self.digest)

    @property
    def is_index(self) -> bool:
        """Whether it names manifests."""
        return self.media_type in INDEXES

    @property
    def is_document(self) -> bool:
        """Whether it names other blobs."""
        return self.is_index or self.media_type in MANIFESTS


def top(data: bytes, where: str) -> Blob:
    """What the manifest or index `data` is, by its own word or else by its form.

    Raises `BadImage`.
    """
    value = _load(data, where)
    said = value.get("mediaType", INDEX_TYPE if "manifests" in value else MANIFEST_TYPE)
    blob = Blob(_text(said, f"{where}: mediaType"), digests.of(data), len(data))
    if not blob.is_document:
        raise BadImage(f"{where} is of the type {said!r}, neither a manifest nor an index")
    return blob


def children(blob: Blob, data: bytes, where: str) -> list[Blob]:
    """What the manifest or index `blob`, whose bytes are `data`, names: manifests, or the config
    and then the layers. Raises `BadImage`."""
    value = _load(data, where)
    if value.get("mediaType", blob.media_type) != blob.media_type:
        raise BadImage(f"{where} says of itself another type than what names it")
    # One reader's index must not be another's manifest (CVE-2021-41190).
    if ("manifests" in value) != blob.is_index or ("layers" in value) == blob.is_index:
        raise BadImage(f"{where} is not of the form of {blob.media_type}")
    named = value["manifests"] if blob.is_index else [value.get("config"), *_list(value, where)]
    if not isinstance(named, list):
        raise BadImage(f"{where}: manifests is not a list")
    found = [_descriptor(item, f"{where}: descriptor {n}") for n, item in enumerate(named, 1)]
    if odd := [child for child in found if child.is_document != blob.is_index]:
        raise BadImage(f"{where} refers to a {odd[0].media_type} where none may stand")
    return found


def read_index(data: bytes, where: str) -> list[Blob]:
    """The images that a layout's ``index.json`` names. Raises `BadImage`."""
    # Every layout has an OCI index there, and many do not say so.
    blob = Blob(INDEX_TYPE, digests.PLACEHOLDER, len(data))
    return children(blob, data, where)


def encode_index(image: Blob) -> bytes:
    """The ``index.json`` of a layout that holds just this image, under its name if it has one."""
    entry: dict[str, object] = {
        "digest": image.digest,
        "mediaType": image.media_type,
        "size": image.size,
    }
    if image.name is not None:
        entry["annotations"] = {REF_NAME: image.name}
    return canonical.dumps(
        {"manifests": [entry], "mediaType": INDEX_TYPE, "schemaVersion": 2},
    )


def check_files(files: Iterable[tuple[str, str]], where: str) -> None:
    """Whether `files`, path and digest of each, are those of a layout in which every blob bears
    its own digest. Raises `BadLayout`."""
    lacking = {MARKER, INDEX}
    for path, digest in files:
        match = _BLOB.fullmatch(path)
        if match and match[1] != digests.hex_of(digest):
            raise BadLayout(f"{where}: {path} is a blob of the digest {digest}")
        if path == MARKER and digest != digests.of(OCI_LAYOUT):
            raise BadLayout(f"{where}: {path} is not the one of version 1.0.0")
        if not match and path not in lacking:
            raise BadLayout(f"{where}: {path!r} has no place in an image layout")
        lacking.discard(path)
    if lacking:
        raise BadLayout(f"{where}: an image layout without {min(lacking)}")


def _load(data: bytes, where: str) -> dict[str, Any]:
    if len(data) > MAX_MANIFEST:
        raise BadImage(f"{where} has {len(data)} bytes; at most {MAX_MANIFEST}")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadImage(f"{where} is not JSON: {error}") from error
    if not isinstance(value, dict) or value.get("schemaVersion") != 2:
        raise BadImage(f"{where} is no manifest or index of schema 2")
    return value


def _list(value: dict[str, Any], where: str) -> list[Any]:
    if not isinstance(value["layers"], list):
        raise BadImage(f"{where}: layers is not a list")
    return value["layers"]


def _descriptor(value: Any, where: str) -> Blob:
    if not isinstance(value, dict):
        raise BadImage(f"{where} is not an object")
    digest, size = value.get("digest"), value.get("size")
    try:
        digests.check(digest, where)
    except digests.BadDigest as error:
        raise BadImage(error.message, hint="only images by SHA-256 can be carried") from error
    if type(size) is not int or not 0 <= size <= canonical.MAX_INTEGER:
        raise BadImage(f"{where} has the size {size!r}")
    blob = Blob(
        _text(value.get("mediaType"), f"{where}: mediaType"),
        str(digest),
        size,
        _platform(value.get("platform"), where),
        _name(value.get("annotations")),
    )
    if blob.is_document and not 0 < size <= MAX_MANIFEST:
        raise BadImage(f"{where}: a manifest of {size} bytes; at most {MAX_MANIFEST}")
    return blob


def _platform(value: Any, where: str) -> str | None:
    """OS/ARCH[/VARIANT] (image-index.md, "platform")."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BadImage(f"{where}: platform is not an object")
    parts = [value.get("os"), value.get("architecture"), value.get("variant")]
    return "/".join(_text(part, f"{where}: platform") for part in parts if part is not None)


def _name(value: Any) -> str | None:
    name = value.get(REF_NAME) if isinstance(value, dict) else None
    return name if isinstance(name, str) else None


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > 255:
        raise BadImage(f"{where} is {value!r:.80}, where a text must stand")
    return value
