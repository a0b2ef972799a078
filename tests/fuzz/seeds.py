"""Writes the first inputs of tests/fuzz/corpus, from the vectors and from documents made here.

python -m tests.fuzz.seeds
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bundles import digest as digests
from bundles.format import layout
from bundles.format.chunks import Chunk
from bundles.format.layout import Descriptor, Layer
from bundles.reading import doctree, volumelist
from bundles.reading.volumelist import ListedVolume, VolumeList
from bundles.signing import keys, rotation, trust, trustchain
from bundles.signing.sshkey import PublicKey
from bundles.signing.sshsig import TRUST
from bundles.signing.trust import TrustRoot
from bundles.signing.trustchain import Link
from bundles.site import receipt
from tests.bundles.test_install_receipt import RECEIPT
from tests.fuzz.__main__ import CORPUS
from tests.images import saved, several
from tests.vectors.forge import Key

VECTORS = Path(__file__).parents[1] / "vectors"
EXAMPLES = Path(__file__).parents[2] / "examples" / "bundles"
KINDS = {
    "oci-layout": "canonical",
    "index.json": "layout-index",
    "goose/statement.json": "statement",
}
EMPTY = digests.of(b"")
SIGNERS = """\
anna@example.org\t\t\tgoose-bundle@v1\tgoose-trust@v1
ben\t2026-11-24T12:00:00Z\t\tgoose-bundle@v1\tgoose-install@v1\tgoose-volumes@v1
cleo\t\t2027-11-24T12:00:00Z\tgoose-receipt@v1
dora\t2026-11-24T12:00:00Z\t2027-11-24T12:00:00Z\tgoose-trust@v1"""


def seeds() -> Iterator[tuple[str, bytes]]:
    """A target and an input of it that it takes."""
    for volume in sorted((VECTORS / "volumes").glob("accept-*.goose.tar")):
        yield "volume", volume.read_bytes()
        yield from entries(volume)
    for volume in sorted((VECTORS / "volumes").glob("accept-*.goose.tar.age")):
        yield "sealed", volume.read_bytes()
    for path in sorted((VECTORS / "v1-open").glob("*.volumes.json")):
        yield "volume-list", path.read_bytes()
    yield "volume-list", sealed_list()
    for text in ("release\t\t\tgoose-trust@v1", SIGNERS):
        yield "allowed-signers", text.encode()
    for name in ("release", "second"):
        yield "public-key", f"{Key(name).openssh} {name}\n".encode()
    pairs = [(keys.parse_public(Key(name).openssh)[0], name) for name in ("release", "second")]
    yield "trust-root", trust.first(pairs[:1], 1).render()
    yield "trust-root", trust.first(pairs, 2).render()
    yield "trust-chain", chain(trust.first(pairs[:1], 1), pairs[1:])
    for path in (*EXAMPLES.glob("*.yaml"), VECTORS / "v1-open" / "v1-open.yaml"):
        yield "recipe", path.read_bytes()
    yield (
        "lock",
        b'{"apiVersion": "goose/v1", "kind": "Lock", "created": "2026-11-24T00:00:00Z",'
        b' "inputs": [{"url": "https://example.org/a", "digest": "sha256:' + b"0" * 64 + b'",'
        b' "size": 4}]}',
    )
    yield "receipt", a_receipt()
    yield "install-receipt", RECEIPT.encode()
    yield "install-receipt", replace(RECEIPT, origin=replace(RECEIPT.origin, artifacts=())).encode()
    yield (
        "repair-request",
        b'{"documents":[],"format":1,"layers":[{"digest":"sha256:' + b"0" * 64 + b'","size":4}],'
        b'"name":"vector","root":"sha256:' + b"0" * 64 + b'","site":null,"version":"1.0.0"}',
    )
    yield (
        "delta",
        b'{"blobs":[{"digest":"sha256:' + b"0" * 64 + b'","size":9}],"bundles":[{"name":"vector",'
        b'"root":"sha256:' + b"0" * 64 + b'","version":"1.0.0"}],"documents":null,"format":1,'
        b'"packs":[{"copies":[[3,5,0,1,8,0,0,0,7]],"digest":"sha256:' + b"0" * 64 + b'",'
        b'"layers":[0,2,1,1],"size":6}]}',
    )
    yield from of_images()


def of_images() -> Iterator[tuple[str, bytes]]:
    """What stands in images, charts and their archives."""
    with tempfile.TemporaryDirectory() as folder:
        made, _ = several(Path(folder) / "layout")
        for path in sorted((made.folder / "blobs/sha256").iterdir()):
            if path.read_bytes().startswith(b"{\n"):
                yield "image-manifest", path.read_bytes()
    for text in ("app", "host.example:5000/team/app:v1", "oci:./layout:v1", "docker-archive:a.tar"):
        yield "image-reference", text.encode()
    yield "image-reference", b"docker://[::1]/a__b/c-d@" + EMPTY.encode()
    yield "docker-archive", tar(saved())
    yield "chart", gzip.compress(tar({"app/Chart.yaml": b"name: app\nversion: 1.0.0\n"}), mtime=0)


def tar(files: dict[str, bytes]) -> bytes:
    """A tar of some files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def faulty() -> Iterator[tuple[str, bytes]]:
    """A target and an input of it that has one fault, or is another kind of document."""
    for volume in sorted((VECTORS / "volumes").glob("refuse-*.goose.tar")):
        yield "volume", volume.read_bytes()
        yield from entries(volume)
    for volume in sorted((VECTORS / "volumes").glob("refuse-*.goose.tar.age")):
        yield "sealed", volume.read_bytes()
    for target, data in seeds():
        if data[:1] == b"{":
            yield "canonical", data
            yield target, data.replace(b":1", b":true", 1)
            yield target, data.replace(b'"', b'"\\u0000', 1)
            yield target, data.replace(b":null", b':"2026-11-24T12:00:00Z"', 1)
            yield target, data.replace(b"sha256:0", b"sha256:F", 1)
            yield target, data.replace(b"[", b"[null,", 1)
            yield target, data[:-1] + b',"zz":1}'
        yield target, data[: len(data) // 2]


def entries(volume: Path) -> Iterator[tuple[str, bytes]]:
    """The documents of a volume, as far as they can be read, each with its target."""
    try:
        with tarfile.open(volume) as archive:
            for info in archive:
                file = archive.extractfile(info)
                data = file.read() if file else b""
                if kind := _kind(info.name, data):
                    yield kind, data
    except (tarfile.TarError, KeyError, OSError):
        return


def _kind(name: str, data: bytes) -> str:
    kind = KINDS.get(name, "signature" if ".sig." in name else "")
    if b'"schemaVersion": 2' in data or (b'"manifests"' in data and b"artifactType" not in data):
        kind = kind or "image-manifest"
    elif b'"manifests"' in data and not kind:
        kind = "index"
    elif b'"layers"' in data and not kind:
        kind = "manifest"
    return kind


def sealed_list() -> bytes:
    """The list of two sealed volumes."""
    listed = [
        ListedVolume(volumelist.volume_file("base-1.0.0", n, 2, sealed=True), n, EMPTY)
        for n in (1, 2)
    ]
    return VolumeList("base", "1.0.0", EMPTY, tuple(listed)).encode()


def a_receipt() -> bytes:
    """A site's receipt: one bundle of one tree, whose file is cut in two."""
    kind, size = layout.ARTIFACT_TYPES["tree"], 131072
    texts = [Layer("a", 2 * size).encode(digests.PLACEHOLDER, digests.PLACEHOLDER)]
    manifest = layout.encode_manifest(kind, "os", texts)
    child = Descriptor(layout.MANIFEST_TYPE, kind, digests.of(manifest), len(manifest), "os")
    root = layout.encode_index(layout.BUNDLE_TYPE, "vector", [child])
    documents = {digests.of(data): data for data in (root, manifest)}
    tree = doctree.read(digests.of(root), documents.__getitem__, "seed")
    held = receipt.HeldBundle(
        "vector", "1.0.0", 1, True, digests.PLACEHOLDER, digests.of(root), tree
    )
    chunks = [Chunk(bytes(32), 0, size), Chunk(bytes(32), size, size)]
    layer = receipt.cut_layer(digests.PLACEHOLDER, chunks)
    return receipt.Receipt("site-a", "2026-11-24T12:00:00Z", (held,), (layer,)).encode()


def chain(first: TrustRoot, add: list[tuple[PublicKey, str]]) -> bytes:
    """Version 1, and a version 2 that its one signer signed."""
    second = rotation.successor(first, rotation.Changes(add=add))
    armored = Key("release").sign(second.render(), TRUST)
    return trustchain.render([Link(first), Link(second, (armored,))])


def main() -> None:
    for target, data in (*seeds(), *faulty()):
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)


if __name__ == "__main__":
    main()
