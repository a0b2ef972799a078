"""The OCI documents of a bundle: its layers, manifests and indexes, written and read.

Source: OCI image specification 1.1 (image-layout.md, manifest.md, image-index.md, and "Guidelines
for Artifact Usage"). Every document here has exactly one encoding, canonical JSON, so that a
reader rebuilds what it read and compares bytes. Nothing here does I/O.

A bundle is a tree of documents: the root index names one document per artifact; an artifact is a
manifest whose layers are its files, or, when that would outgrow `MAX_DOCUMENT`, an index of such
manifests in the same order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bundles import digest as digests
from bundles.format import canonical
from bundles.format.paths import BadLayout, check_path

OCI_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
LAYER_TYPE = "application/octet-stream"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"
EMPTY_DIGEST = digests.of(EMPTY)
ARTIFACT_TYPES = {
    "file": "application/vnd.goose.file.v1",
    "tree": "application/vnd.goose.tree.v1",
    "image": "application/vnd.goose.image.v1",
    "chart": "application/vnd.goose.chart.v1",
    "sbom": "application/vnd.cyclonedx+json",
    "provenance": "application/vnd.in-toto+json",
}
RESERVED = "goose"  # the folder of what a builder adds
SBOM = f"{RESERVED}/sbom.cdx.json"
PROVENANCE = f"{RESERVED}/provenance.json"
BUNDLE_TYPE = "application/vnd.goose.bundle.v1"

TITLE = "org.opencontainers.image.title"
REF_NAME = "org.opencontainers.image.ref.name"
MODE = "goose.mode"  # four octal digits; absent means 0644
PART = "goose.part"  # "2/3": the second of three layers of one file
FILE_DIGEST = "goose.file.digest"  # of all parts together, on each of them
VOLUME = "goose.volume"  # "2/5", in index.json only

MAX_DOCUMENT = 2 * 1024 * 1024  # bytes of a manifest or index; stock clients stop at 4 MiB
MAX_PART = 1024**3  # bytes of a layer; a longer file becomes ordered parts
DEFAULT_MODE = 0o644

# The grammar of org.opencontainers.image.ref.name (OCI image specification, annotations.md).
_REF = re.compile(
    r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*(?:/[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*)*"
)
_PART = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})")

_quoted = json.JSONEncoder(ensure_ascii=False).encode  # a text as JSON


IMAGE_TYPES = (ARTIFACT_TYPES["image"], ARTIFACT_TYPES["chart"])


def holds_one_file(artifact_type: str) -> bool:
    """Whether an artifact's title is the path of its one file, not of a folder."""
    return artifact_type not in (ARTIFACT_TYPES["tree"], *IMAGE_TYPES)


@dataclass(frozen=True, slots=True)
class Layer:
    """One blob of content: a whole file, or one part of a file longer than `MAX_PART`."""

    path: str  # within its artifact; a file artifact's is the last component of its title
    size: int  # bytes
    mode: int = DEFAULT_MODE
    part: int = 1
    parts: int = 1

    @property
    def title(self) -> str:
        """The file name a stock client writes; ``cat NAME.part-*`` joins a file's parts."""
        return self.path if self.parts == 1 else f"{self.path}.part-{self.part:05d}"

    def encode(self, digest: str, file_digest: str) -> str:
        """The descriptor's JSON text; its length depends on neither digest."""
        # Written out by hand, keys in order: a bundle has as many of these as files.
        notes = f'"{TITLE}":{_quoted(self.title)}'
        if self.parts > 1:
            notes = f'"{PART}":"{self.part}/{self.parts}",{notes}'
        if self.mode != DEFAULT_MODE:
            notes = f'"{MODE}":"{self.mode:04o}",{notes}'
        if self.parts > 1:
            notes = f'"{FILE_DIGEST}":"{file_digest}",{notes}'
        return (
            f'{{"annotations":{{{notes}}},"digest":"{digest}",'
            f'"mediaType":"{LAYER_TYPE}","size":{self.size}}}'
        )


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to a manifest or an index."""

    media_type: str
    artifact_type: str
    digest: str
    size: int
    title: str | None = None

    def encode(self) -> dict[str, object]:
        """The descriptor as JSON data."""
        data: dict[str, object] = {
            "artifactType": self.artifact_type,
            "digest": self.digest,
            "mediaType": self.media_type,
            "size": self.size,
        }
        if self.title is not None:
            data["annotations"] = {TITLE: self.title}
        return data


def encode_manifest(artifact_type: str, title: str, layers: Iterable[str]) -> bytes:
    """A manifest of already encoded layers.

    An artifact's manifests all carry its title, so that each tells what it belongs to.
    """
    notes = json.dumps({TITLE: title}, ensure_ascii=False, separators=(",", ":"))
    return (
        f'{{"annotations":{notes},"artifactType":"{artifact_type}",'
        f'"config":{{"digest":"{EMPTY_DIGEST}","mediaType":"{EMPTY_TYPE}","size":{len(EMPTY)}}},'
        f'"layers":[{",".join(layers)}],"mediaType":"{MANIFEST_TYPE}","schemaVersion":2}}'
    ).encode()


def encode_index(artifact_type: str, title: str, children: Sequence[Descriptor]) -> bytes:
    """An index over manifests or over artifacts."""
    return canonical.dumps(
        {
            "annotations": {TITLE: title},
            "artifactType": artifact_type,
            "manifests": [child.encode() for child in children],
            "mediaType": INDEX_TYPE,
            "schemaVersion": 2,
        }
    )


def encode_layout_index(
    root: Descriptor, version: str, artifacts: Sequence[Descriptor], volume: int, volumes: int
) -> bytes:
    """``index.json``: the root under the bundle's version, each artifact under its title.

    A title that the grammar of reference names does not allow has no name of its own here; it is
    reached through the root.
    """
    entries = [_named(root, version)]
    entries += [_named(a, a.title) for a in artifacts if a.title and _REF.fullmatch(a.title)]
    return canonical.dumps(
        {
            "annotations": {VOLUME: f"{volume}/{volumes}"},
            "manifests": entries,
            "mediaType": INDEX_TYPE,
            "schemaVersion": 2,
        }
    )


def _named(descriptor: Descriptor, name: str) -> dict[str, object]:
    data = descriptor.encode()
    data["annotations"] = {REF_NAME: name}
    return data


def read_volume_number(index: bytes, where: str) -> tuple[int, int]:
    """Which volume of how many an ``index.json`` says it stands in.

    The number is not signed: a wrong one makes the volume's content not match, no more.
    """
    data = canonical.loads(index, where)
    notes = data.get("annotations") if isinstance(data, dict) else None
    text = notes.get(VOLUME) if isinstance(notes, dict) else None
    match = _PART.fullmatch(text) if isinstance(text, str) else None
    if not match or int(match[1]) > int(match[2]):
        raise BadLayout(f"{where}: the annotation {VOLUME} is not of the form K/N")
    return int(match[1]), int(match[2])


def read_index(data: bytes, where: str) -> tuple[str, str, list[Descriptor]]:
    """The artifact type, title and children of an index.

    Raises `NotCanonical`, `BadDigest`, `PathEscapes` or `BadLayout`; afterwards `encode_index` of
    the result is `data`, so nothing in it went unread.
    """
    value = canonical.loads(data, where)
    try:
        kind = _text(value["artifactType"], where)
        title = _text(value["annotations"][TITLE], where)
        children = [_read_descriptor(child, where) for child in value["manifests"]]
        same = encode_index(kind, title, children) == data
    except (KeyError, TypeError, AttributeError) as error:
        raise BadLayout(f"{where} is not an index: {error!r}") from error
    if not same:
        raise BadLayout(f"{where} holds fields that an index of format 1 does not have")
    return kind, title, children


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise BadLayout(f"{where} has {value!r} where a text must stand")
    return value


def _read_descriptor(value: Any, where: str) -> Descriptor:
    notes = value.get("annotations")
    title = None if notes is None else notes[TITLE]
    size = value["size"]
    if value["mediaType"] not in (INDEX_TYPE, MANIFEST_TYPE):
        raise BadLayout(f"{where} refers to an unknown media type {value['mediaType']!r}")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MAX_DOCUMENT:
        raise BadLayout(f"{where} refers to a document of {size!r} bytes; at most {MAX_DOCUMENT}")
    return Descriptor(
        media_type=value["mediaType"],
        artifact_type=_text(value["artifactType"], where),
        digest=digests.check(value["digest"], where),
        size=size,
        title=None if title is None else check_path(title, where),
    )


def read_manifest(data: bytes, where: str) -> tuple[str, str, list[tuple[Layer, str, str]]]:
    """The artifact type, title and layers of a manifest; a layer comes with its own digest and
    its file's digest (the same, but for parts).

    Raises as `read_index` does, with the same promise.
    """
    value = canonical.loads(data, where)
    try:
        kind = _text(value["artifactType"], where)
        title = _text(value["annotations"][TITLE], where)
        layers = [_read_layer(item, where) for item in value["layers"]]
        same = encode_manifest(kind, title, (la.encode(d, f) for la, d, f in layers)) == data
    except (KeyError, TypeError, AttributeError) as error:
        raise BadLayout(f"{where} is not a manifest: {error!r}") from error
    if not same:
        raise BadLayout(f"{where} holds fields that a manifest of format 1 does not have")
    return kind, title, layers


def _read_layer(value: Any, where: str) -> tuple[Layer, str, str]:
    notes, size = value["annotations"], value["size"]
    title, mode, part = notes[TITLE], notes.get(MODE), notes.get(PART)
    digest = digests.check(value["digest"], where)
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_PART:
        raise BadLayout(f"{where}: the layer {title!r} has {size!r} bytes; at most {MAX_PART}")
    if mode is not None and not re.fullmatch(r"[0-7]{4}", mode):
        raise BadLayout(f"{where}: the layer {title!r} has the mode {mode!r}")
    bits = DEFAULT_MODE if mode is None else int(mode, 8)
    if part is None:
        return Layer(check_path(title, where), size, bits), digest, digest
    match = _PART.fullmatch(part)
    if not match:
        raise BadLayout(f"{where}: the layer {title!r} has the part {part!r}, not K/N")
    number, count = int(match[1]), int(match[2])
    path = title.removesuffix(f".part-{number:05d}")
    layer = Layer(check_path(path, where), size, bits, number, count)
    return layer, digest, digests.check(notes[FILE_DIGEST], where)


def served_path(artifact: Descriptor, layer: Layer) -> str:
    """The path within the bundle of the file that `layer` of `artifact` is, or is part of."""
    if holds_one_file(artifact.artifact_type):
        return str(artifact.title)
    return f"{artifact.title}/{layer.path}"


def check_parts(layers: Sequence[tuple[Layer, str, str]], where: str) -> None:
    """Files come whole: parts 1 to N in order, equal in size but for the last, agreeing on mode
    and file digest.

    Raises `BadLayout`.
    """
    for group in files(layers):
        first, _, whole = group[0]
        expected = list(range(1, first.parts + 1))
        if [layer.part for layer, _, _ in group] != expected:
            raise BadLayout(f"{where}: the parts of {first.path!r} are not 1 to {first.parts}")
        sizes = [layer.size for layer, _, _ in group]
        if len(group) > 1 and not (set(sizes[:-1]) == {sizes[0]} and 0 < sizes[-1] <= sizes[0]):
            raise BadLayout(f"{where}: the parts of {first.path!r} have wrong sizes")
        if any((la.mode, la.parts, f) != (first.mode, first.parts, whole) for la, _, f in group):
            raise BadLayout(f"{where}: the parts of {first.path!r} disagree")


def files(
    layers: Iterable[tuple[Layer, str, str]],
) -> Iterator[list[tuple[Layer, str, str]]]:
    """Groups consecutive layers of the same path: one group is one file."""
    group: list[tuple[Layer, str, str]] = []
    for item in layers:
        if group and (item[0].path != group[0][0].path or item[0].part == 1):
            yield group
            group = []
        group.append(item)
    if group:
        yield group
