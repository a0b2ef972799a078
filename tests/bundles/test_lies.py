"""What a trusted builder who lies must not get away with: volumes signed as they should be, around
documents that no honest builder writes.

Each volume here is whole and true but for the one lie its test names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import layout, statement
from bundles.format.layout import Descriptor, Layer
from bundles.format.paths import BadLayout
from bundles.format.statement import Totals
from bundles.format.volume import END, BadVolume, blob_name, padding
from bundles.making.writer import encode_head
from bundles.reading.verify import DamagedDocument, InconsistentBundle
from bundles.signing import sshsig
from bundles.site.catalog import Catalog
from tests.bundles.making import Workshop, read_entries
from tests.bundles.test_attacks import refused

FILE, TREE = layout.ARTIFACT_TYPES["file"], layout.ARTIFACT_TYPES["tree"]
OTHER = "application/vnd.goose.other.v1"


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    """A workshop, with a site that has imported nothing."""
    return Workshop(tmp_path)


@dataclass(frozen=True)
class Blob:
    """A layer with its bytes, and the digest of its file that it claims."""

    layer: Layer
    data: bytes
    whole: str


@dataclass(frozen=True)
class Document:
    """A manifest or index, and what is below it."""

    data: bytes
    descriptor: Descriptor  # what its parent says of it
    title: str
    children: tuple[Document, ...] = ()
    blobs: tuple[Blob, ...] = ()

    def said(self, **fields: object) -> Document:
        """The same document under a parent that says something else of it."""
        return replace(self, descriptor=replace(self.descriptor, **fields))  # type: ignore[arg-type]

    def walk(self) -> Iterator[Document]:
        """This document and all below it, in the order of a head."""
        yield self
        for child in self.children:
            yield from child.walk()


def whole(path: str, data: bytes) -> Blob:
    """A file of one layer."""
    return Blob(Layer(path, len(data)), data, digests.of(data))


def parts(path: str, *pieces: bytes) -> list[Blob]:
    """A file of several layers."""
    joined = digests.of(b"".join(pieces))
    return [
        Blob(Layer(path, len(piece), part=k, parts=len(pieces)), piece, joined)
        for k, piece in enumerate(pieces, 1)
    ]


def manifest(kind: str, title: str, *blobs: Blob) -> Document:
    """A manifest of these layers."""
    texts = [blob.layer.encode(digests.of(blob.data), blob.whole) for blob in blobs]
    data = layout.encode_manifest(kind, title, texts)
    told = Descriptor(layout.MANIFEST_TYPE, kind, digests.of(data), len(data), title)
    return Document(data, told, title, blobs=blobs)


def index(kind: str, title: str, *children: Document) -> Document:
    """An index of these documents."""
    data = layout.encode_index(kind, title, [child.descriptor for child in children])
    told = Descriptor(layout.INDEX_TYPE, kind, digests.of(data), len(data), title)
    return Document(data, told, title, children)


def artifact(kind: str, title: str, *manifests: Document) -> Document:
    """An artifact that is an index of manifests, which it gives no titles."""
    return index(kind, title, *(child.said(title=None) for child in manifests))


def bundle(*artifacts: Document) -> Document:
    """The root index of the workshop's bundle."""
    return index(layout.BUNDLE_TYPE, "base", *artifacts)


def forge(shop: Workshop, root: Document) -> Path:
    """A volume of these documents and layers, its statement true to them and signed."""
    documents = list(root.walk())
    blobs = [blob for document in documents for blob in document.blobs]
    stored = {digests.of(blob.data): blob.data for blob in blobs if blob.data != layout.EMPTY}
    head = [
        *((d.descriptor.digest, d.data) for d in documents),
        (layout.EMPTY_DIGEST, layout.EMPTY),
    ]
    said = shop.draft(
        root=root.descriptor.digest,
        root_size=len(root.data),
        totals=Totals(
            artifacts=len(root.children),
            files=len({(d.title, blob.layer.path) for d in documents for blob in d.blobs}),
            layers=len(blobs),
            bytes=sum(blob.layer.size for blob in blobs),
            documents=len(dict(head)),
            document_bytes=sum(map(len, dict(head).values())),
        ),
        volumes=(len(blobs),),
    )
    message = said.encode()
    told = replace(root.descriptor, artifact_type=layout.BUNDLE_TYPE)
    titles = [child.descriptor for child in root.children]
    entries = [
        ("oci-layout", layout.OCI_LAYOUT),
        ("index.json", layout.encode_layout_index(told, said.version, titles, 1, 1)),
        (statement.ENTRY, message),
        (statement.signature_entry(1), sshsig.sign(message, shop.signer, sshsig.BUNDLE)),
        *((blob_name(digest), data) for digest, data in head),
        *((blob_name(digest), data) for digest, data in stored.items()),
    ]
    volume = shop.folder / "forged.goose.tar"
    volume.write_bytes(encode_head(entries, 0) + END)
    return volume


def lie(shop: Workshop, root: Document, kind: type[GooseError], words: str) -> None:
    """Imports a bundle with this root, which must be refused with exactly `kind` and `words`."""
    refused(shop, forge(shop, root), kind, words)


A, B = whole("a", b"one\n"), whole("b", b"two\n")
SMALL = whole("blob.bin", bytes(range(1, 101)))  # read together with others
LARGE = whole("blob.bin", bytes(range(1, 101)) * 3000)  # read in chunks
HONEST = manifest(TREE, "os", A, B)


def test_volume_without_a_lie(shop: Workshop) -> None:
    """The tools of these tests make what the reader takes, so what it refuses is the lie."""
    cut = parts("c.bin", b"12345678", b"12345678", b"123")
    first = manifest(TREE, "split", A, *cut[:2])
    second = manifest(TREE, "split", cut[2], LARGE, whole("none.json", layout.EMPTY))
    motd = manifest(FILE, "extra/motd", whole("motd", b"welcome\n"))
    root = bundle(HONEST, motd, artifact(TREE, "split", first, second))
    assert shop.import_(forge(shop, root)).state == "complete"
    found = {
        file.path.removeprefix("split/"): file for file in Catalog(shop.store).list("base", None)
    }
    assert list(found) == ["os/a", "os/b", "extra/motd", "a", "c.bin", "blob.bin", "none.json"]
    for file in found.values():
        data = b"".join(shop.store.read(part.digest, part.size) for part in file.parts)
        assert (len(data), digests.of(data)) == (file.size, file.digest)


# Documents


def test_document_that_stands_twice(shop: Workshop) -> None:
    digest = HONEST.descriptor.digest
    root = bundle(artifact(TREE, "os", HONEST, HONEST))
    lie(shop, root, InconsistentBundle, f"document {digest} stands in the bundle twice")


def test_artifact_of_an_unknown_type(shop: Workshop) -> None:
    root = bundle(HONEST, manifest(OTHER, "other", A))
    lie(shop, root, InconsistentBundle, "artifacts of an unknown type")


def test_artifact_that_is_a_bundle(shop: Workshop) -> None:
    root = bundle(artifact(layout.BUNDLE_TYPE, "os", manifest(layout.BUNDLE_TYPE, "os", A)))
    lie(shop, root, InconsistentBundle, "artifacts of an unknown type")


def test_artifact_without_a_title(shop: Workshop) -> None:
    root = bundle(HONEST.said(title=None))
    lie(shop, root, InconsistentBundle, "artifacts without a title of their own")


def test_artifact_without_a_title_that_is_a_second_root(shop: Workshop) -> None:
    """An index below the root that would itself be read as one: its children are artifacts."""
    second = index(TREE, "base", HONEST).said(title=None)
    lie(shop, bundle(second), InconsistentBundle, "artifacts without a title of their own")


def test_two_artifacts_of_one_title(shop: Workshop) -> None:
    root = bundle(manifest(TREE, "os", A), manifest(TREE, "os", B))
    lie(shop, root, InconsistentBundle, "artifacts without a title of their own")


@pytest.mark.parametrize(
    "root",
    [
        pytest.param(index(TREE, "base", HONEST), id="type"),
        pytest.param(index(layout.BUNDLE_TYPE, "other", HONEST), id="title"),
        pytest.param(bundle(), id="empty"),
    ],
)
def test_root_that_is_not_what_the_statement_says(shop: Workshop, root: Document) -> None:
    words = f"document {root.descriptor.digest} is not what its parent says"
    lie(shop, root, InconsistentBundle, words)


SPLIT = artifact(TREE, "os", manifest(TREE, "os", A), manifest(TREE, "os", B))


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(HONEST.said(artifact_type=FILE), id="manifest-type"),
        pytest.param(HONEST.said(title="motd"), id="manifest-title"),
        pytest.param(manifest(TREE, "os"), id="manifest-empty"),
        pytest.param(SPLIT.said(artifact_type=FILE), id="index-type"),
        pytest.param(SPLIT.said(title="motd"), id="index-title"),
        pytest.param(artifact(TREE, "os"), id="index-empty"),
    ],
)
def test_artifact_that_is_not_what_the_root_says(shop: Workshop, document: Document) -> None:
    words = f"document {document.descriptor.digest} is not what its parent says"
    lie(shop, bundle(document), InconsistentBundle, words)


@pytest.mark.parametrize(
    "inner",
    [
        pytest.param(manifest(FILE, "os", B).said(artifact_type=TREE), id="type"),
        pytest.param(manifest(TREE, "other", B), id="title"),
        pytest.param(manifest(TREE, "os"), id="empty"),
    ],
)
def test_manifest_that_is_not_what_its_artifact_says(shop: Workshop, inner: Document) -> None:
    root = bundle(artifact(TREE, "os", manifest(TREE, "os", A), inner))
    words = f"document {inner.descriptor.digest} is not what its parent says"
    lie(shop, root, InconsistentBundle, words)


@pytest.mark.parametrize(
    "child",
    [
        pytest.param(manifest(FILE, "os", whole("os", b"")).said(title=None), id="type"),
        pytest.param(artifact(TREE, "os", manifest(TREE, "os", B)).said(title=None), id="index"),
        pytest.param(manifest(TREE, "os", B), id="titled"),
        pytest.param(manifest(TREE, "other", B), id="of-another"),
    ],
)
def test_index_of_more_than_its_manifests(shop: Workshop, child: Document) -> None:
    document = index(TREE, "os", manifest(TREE, "os", A).said(title=None), child)
    words = f"document {document.descriptor.digest} holds more than the manifests of 'os'"
    lie(shop, bundle(document), InconsistentBundle, words)


@pytest.mark.parametrize(
    "blobs",
    [
        pytest.param([whole("issue", b"welcome\n")], id="another-name"),
        pytest.param([whole("extra/motd", b"welcome\n")], id="whole-title"),
        pytest.param([whole("motd", b"welcome\n"), A], id="two-files"),
    ],
)
def test_file_that_is_not_one_named_as_its_title(shop: Workshop, blobs: list[Blob]) -> None:
    root = bundle(manifest(FILE, "extra/motd", *blobs))
    lie(shop, root, InconsistentBundle, "is not one file named as its title")


def test_file_that_stands_twice_under_its_title(shop: Workshop) -> None:
    blobs = whole("motd", b"welcome\n"), whole("motd", b"go away\n")
    root = bundle(manifest(FILE, "extra/motd", *blobs))
    lie(shop, root, InconsistentBundle, "'extra/motd' stands in the bundle twice")


def test_path_that_stands_twice_in_a_tree(shop: Workshop) -> None:
    root = bundle(manifest(TREE, "os", A, B, whole("a", b"three\n")))
    lie(shop, root, InconsistentBundle, "'os/a' stands in the bundle twice")


# Parts of a file

P1, P2, P3 = parts("c.bin", b"1111", b"2222", b"33")


def other(blob: Blob, **fields: object) -> Blob:
    """The part with something else said of it."""
    return replace(blob, layer=replace(blob.layer, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "blobs",
    [
        pytest.param([P2, P3], id="first-missing"),
        pytest.param([P1, P3], id="second-missing"),
        pytest.param([P1, P2], id="last-missing"),
        pytest.param([P1], id="alone"),
        pytest.param([P1, P3, P2], id="out-of-order"),
        pytest.param([P1, P2, P2, P3], id="one-twice"),
        pytest.param([P1, A, P2, P3], id="torn-apart"),
    ],
)
def test_parts_that_are_not_all_there_in_order(shop: Workshop, blobs: list[Blob]) -> None:
    root = bundle(manifest(TREE, "os", *blobs))
    lie(shop, root, BadLayout, "os: the parts of 'c.bin' are not 1 to 3")


def test_parts_in_order_but_for_the_manifests(shop: Workshop) -> None:
    root = bundle(artifact(TREE, "os", manifest(TREE, "os", P1, P3), manifest(TREE, "os", P2)))
    lie(shop, root, BadLayout, "os: the parts of 'c.bin' are not 1 to 3")


def test_file_in_parts_that_stands_twice(shop: Workshop) -> None:
    root = bundle(manifest(TREE, "os", P1, P2, P3, *parts("c.bin", b"4444", b"55")))
    lie(shop, root, InconsistentBundle, "'os/c.bin' stands in the bundle twice")


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"1111", b"222", b"33"], id="middle-short"),
        pytest.param([b"1111", b"22222", b"33"], id="middle-long"),
        pytest.param([b"1111", b"2222", b"33333"], id="last-long"),
        pytest.param([b"1111", b"2222", b""], id="last-empty"),
        pytest.param([b"", b""], id="all-empty"),
    ],
)
def test_parts_of_wrong_sizes(shop: Workshop, pieces: list[bytes]) -> None:
    root = bundle(manifest(TREE, "os", *parts("c.bin", *pieces)))
    lie(shop, root, BadLayout, "os: the parts of 'c.bin' have wrong sizes")


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(other(P2, mode=0o755), id="mode"),
        pytest.param(other(P2, parts=4), id="count"),
        pytest.param(replace(P2, whole=digests.of(b"another file")), id="file-digest"),
    ],
)
def test_parts_that_disagree(shop: Workshop, odd: Blob) -> None:
    root = bundle(manifest(TREE, "os", P1, odd, P3))
    lie(shop, root, BadLayout, "os: the parts of 'c.bin' disagree")


# Bytes that no document speaks of


def spoiled(shop: Workshop, volume: Path, name: str, at: int, data: bytes) -> Path:
    """A copy of `volume` with `data` written at byte `at` of its entry `name`."""
    info = next(info for info, _ in read_entries(volume) if info.name == name)
    start = info.offset_data + at

    def change(volume: bytearray) -> None:
        volume[start : start + len(data)] = data

    return shop.spoiled(volume, change)


@pytest.mark.parametrize("blob", [pytest.param(SMALL, id="small"), pytest.param(LARGE, id="large")])
@pytest.mark.parametrize("last", [False, True])
def test_padding_that_is_not_zero(shop: Workshop, blob: Blob, last: bool) -> None:
    volume = forge(shop, bundle(manifest(TREE, "os", A, blob, B)))
    size = blob.layer.size
    at = size + (padding(size) - 1 if last else 0)
    volume = spoiled(shop, volume, blob_name(blob.whole), at, b"x")
    refused(shop, volume, BadVolume, "the padding after os/blob.bin is not zero")


@pytest.mark.parametrize("data", [b"[]", b"{ ", b"\0\0"])
def test_empty_config_that_is_not_empty(shop: Workshop, data: bytes) -> None:
    volume = forge(shop, bundle(HONEST))
    volume = spoiled(shop, volume, blob_name(layout.EMPTY_DIGEST), 0, data)
    words = f"document {layout.EMPTY_DIGEST} does not hash to its name"
    refused(shop, volume, DamagedDocument, words)


@pytest.mark.parametrize("data", [b"welcome\n", layout.EMPTY])
def test_one_digest_of_two_sizes(shop: Workshop, data: bytes) -> None:
    larger = Blob(Layer("z", 999), data, digests.of(data))
    root = bundle(manifest(TREE, "os", whole("a", data), larger))
    lie(shop, root, InconsistentBundle, "another size")
