"""A second writer of the format, from docs/bundle-format.md alone: honest volumes, and lies.

It shares no line with `bundles/`, so that a vector says what the page says and not what the
program does. Everything is derived from fixed seeds: the same call gives the same bytes, but for
what age seals.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CREATED = 1_795_478_400  # 2026-11-24T00:00:00Z, the modification time of every entry
TITLE = "org.opencontainers.image.title"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TREE, FILE = "application/vnd.goose.tree.v1", "application/vnd.goose.file.v1"
IMAGE = "application/vnd.goose.image.v1"
BUNDLE = "application/vnd.goose.bundle.v1"
EMPTY = b"{}"

Json = dict[str, Any]


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def canonical(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


# Keys and signatures


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


class Key:
    """An Ed25519 key that everybody can derive from its name: for tests, and for nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name
        seed = hashlib.sha256(f"goose test vectors: {name}".encode()).digest()
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        raw = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.wire = _string(b"ssh-ed25519") + _string(raw)
        self.openssh = f"ssh-ed25519 {base64.b64encode(self.wire).decode()}"

    def sign(
        self, message: bytes, namespace: str, hashed: str = "sha512", reserved: bytes = b""
    ) -> bytes:
        """An armored SSHSIG (PROTOCOL.sshsig)."""
        sealed = hashlib.new(hashed, message).digest()
        middle = _string(namespace.encode()) + _string(reserved) + _string(hashed.encode())
        value = self._private.sign(b"SSHSIG" + middle + _string(sealed))
        body = b"SSHSIG" + (1).to_bytes(4, "big") + _string(self.wire) + middle
        return armor(body + _string(_string(b"ssh-ed25519") + _string(value)))


def armor(body: bytes, width: int = 70) -> bytes:
    text = base64.b64encode(body)
    lines = [text[at : at + width] + b"\n" for at in range(0, len(text), width)]
    return b"".join([b"-----BEGIN SSH SIGNATURE-----\n", *lines, b"-----END SSH SIGNATURE-----\n"])


# The tar


def header(name: str, size: int, /, **fields: bytes) -> bytes:
    """One ustar header; `fields` overrides fields by their names in the table of the page."""
    table = {
        "name": (0, name.encode()),
        "mode": (100, b"0000644\x00"),
        "uid": (108, b"0000000\x00"),
        "gid": (116, b"0000000\x00"),
        "size": (124, b"%011o\x00" % size),
        "mtime": (136, b"%011o\x00" % CREATED),
        "type": (156, b"0"),
        "linkname": (157, b""),
        "magic": (257, b"ustar\x0000"),
        "uname": (265, b""),
        "devmajor": (329, b""),
        "prefix": (345, b""),
        "rest": (500, b""),
    }
    checksum = fields.pop("checksum", None)
    block = bytearray(512)
    for field_name, (at, value) in table.items():
        value = fields.get(field_name, value)
        block[at : at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = checksum or b"%06o\x00 " % sum(block)
    return bytes(block)


@dataclass
class Entry:
    """One entry; `block` and `pad` are None where they are what they must be."""

    name: str
    data: bytes
    block: bytes | None = None
    pad: bytes | None = None

    def encode(self) -> bytes:
        block = header(self.name, len(self.data)) if self.block is None else self.block
        pad = bytes(-len(self.data) % 512) if self.pad is None else self.pad
        return block + self.data + pad

    def header(self, **fields: bytes) -> None:
        """Gives it a header that differs in these fields."""
        self.block = header(self.name, len(self.data), **fields)


def blob(data: bytes) -> Entry:
    return Entry("blobs/sha256/" + hashlib.sha256(data).hexdigest(), data)


# The documents


def layer(title: str, data: bytes, **notes: str) -> Json:
    return {
        "annotations": {TITLE: title, **notes},
        "digest": digest(data),
        "mediaType": "application/octet-stream",
        "size": len(data),
    }


def manifest(title: str, layers: list[Json], kind: str = TREE) -> Json:
    return {
        "annotations": {TITLE: title},
        "artifactType": kind,
        "config": {
            "digest": digest(EMPTY),
            "mediaType": "application/vnd.oci.empty.v1+json",
            "size": 2,
        },
        "layers": layers,
        "mediaType": MANIFEST,
        "schemaVersion": 2,
    }


def index(title: str, kind: str, children: list[Json]) -> Json:
    return {
        "annotations": {TITLE: title},
        "artifactType": kind,
        "manifests": children,
        "mediaType": INDEX,
        "schemaVersion": 2,
    }


def descriptor(data: bytes, document: Json, title: str | None) -> Json:
    found: Json = {
        "artifactType": document["artifactType"],
        "digest": digest(data),
        "mediaType": document["mediaType"],
        "size": len(data),
    }
    if title is not None:
        found["annotations"] = {TITLE: title}
    return found


def _same(data: Any) -> Any:
    return data


Change = Callable[[Json], Any]
Encoder = Callable[[Json], bytes]

A, B = b"one\n", b"two\n"
RELEASE = Key("release")


@dataclass
class Artifact:
    """An artifact: one manifest, or with several an index over them."""

    title: str
    manifests: list[Json]
    kind: str = TREE


@dataclass
class Bundle:
    """What a volume is made of; every change is made before what follows from it is computed,
    so that the lie is signed and everything around it is true."""

    artifacts: list[Artifact] = field(
        default_factory=lambda: [Artifact("os", [manifest("os", [layer("a", A), layer("b", B)])])]
    )
    blobs: list[bytes] = field(default_factory=lambda: [A, B])
    volumes: list[int] | None = None  # layers per volume
    number: int = 1
    signers: list[tuple[Key, str]] = field(default_factory=lambda: [(RELEASE, "goose-bundle@v1")])
    said: Json = field(default_factory=dict)  # fields of the statement
    root: Change = _same
    statement: Change = _same
    index: Change = _same
    encode_manifest: Encoder = canonical
    encode_statement: Encoder = canonical
    encode_index: Encoder = canonical

    def entries(self) -> list[Entry]:
        """The entries of volume `number`, with all of `blobs` behind its head."""
        documents: list[bytes] = []
        children: list[Json] = []
        for artifact in self.artifacts:
            texts = [self.encode_manifest(m) for m in artifact.manifests]
            if len(texts) > 1:
                below = [
                    descriptor(t, m, None) for t, m in zip(texts, artifact.manifests, strict=True)
                ]
                top = index(artifact.title, artifact.kind, below)
                texts.insert(0, canonical(top))
                children.append(descriptor(texts[0], top, artifact.title))
            else:
                children.append(descriptor(texts[0], artifact.manifests[0], artifact.title))
            documents += texts
        root = self.root(index("vector", BUNDLE, copy.deepcopy(children)))
        documents.insert(0, canonical(root))
        documents.append(EMPTY)
        layers = [item for a in self.artifacts for m in a.manifests for item in m["layers"]]
        files = {
            (a.title, _file(x)) for a in self.artifacts for m in a.manifests for x in m["layers"]
        }
        said: Json = {
            "audience": [],
            "base": None,
            "created": "2026-11-24T00:00:00Z",
            "expires": None,
            "format": 1,
            "name": "vector",
            "reader": 1,
            "root": {"digest": digest(documents[0]), "size": len(documents[0])},
            "sequence": 1,
            "totals": {
                "artifacts": len(self.artifacts),
                "bytes": sum(item["size"] for item in layers if isinstance(item["size"], int)),
                "documentBytes": sum(map(len, documents)),
                "documents": len(documents),
                "files": len(files),
                "layers": len(layers),
            },
            "version": "1.0.0",
            "volumes": self.volumes or [len(layers)],
            **self.said,
        }
        message = self.encode_statement(self.statement(said))
        listing = {
            "annotations": {"goose.volume": f"{self.number}/{len(said['volumes'])}"},
            "manifests": [
                _named(descriptor(documents[0], root, None), "1.0.0"),
                *(_named(child, child["annotations"][TITLE]) for child in children),
            ],
            "mediaType": INDEX,
            "schemaVersion": 2,
        }
        return [
            Entry("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
            Entry("index.json", self.encode_index(self.index(listing))),
            Entry("goose/statement.json", message),
            *(
                Entry(f"goose/statement.sig.{number}", key.sign(message, namespace))
                for number, (key, namespace) in enumerate(self.signers, 1)
            ),
            *map(blob, documents),
            *map(blob, self.blobs),
        ]


def _file(item: Json) -> str:
    """What groups the parts of one file."""
    notes = item["annotations"]
    title = str(notes[TITLE])
    return title.rpartition(".part-")[0] if "goose.part" in notes else title


def _named(child: Json, name: str) -> Json:
    return {**child, "annotations": {"org.opencontainers.image.ref.name": name}}


def volume(entries: list[Entry], end: bytes = bytes(1024)) -> bytes:
    return b"".join(entry.encode() for entry in entries) + end
