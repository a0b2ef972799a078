"""Receipts: what a site tells its builder, and what a builder does not believe."""

from __future__ import annotations

import base64
import copy
import dataclasses
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import canonical, chunks, layout
from bundles.format.canonical import NotCanonical
from bundles.progress import SILENT
from bundles.signing import sshsig
from bundles.signing.policy import WrongAudience
from bundles.site import inventory, receipt, receipt_trust
from bundles.site.inventory import NothingWhole
from bundles.site.receipt import BadReceipt, Receipt, ReceiptTooLarge
from bundles.site.receipt_trust import ReceiptOfAnotherSite, ReceiptSigner, UnknownReceiptSigner
from bundles.store.protocol import Store
from tests.bundles import test_lies as lies
from tests.bundles.content import artifact, lay_out, noise, take
from tests.bundles.making import NOW, Workshop
from tests.bundles.signing import signer, ssh_verify
from tests.parts import part

LARGE = noise("receipt", 700_000)
SITE, STRANGER = signer(1), signer(2)


class Held:
    """A site with `base` 1.0.0 and 2.0.0 and `tools` 1.0.0."""

    def __init__(self, folder: Path) -> None:
        self.shop = Workshop(folder)
        self.folder = folder / "store"
        base = artifact(
            lay_out(
                folder / "base",
                {"a": (b"a\n", 0o644), "large.bin": (LARGE, 0o644), "none": (b"", 0o644)},
            ),
            "os",
        )
        tools = artifact(lay_out(folder / "tools", {"run": (b"#!/bin/sh\n", 0o755)}), "bin")
        later = [base, artifact(lay_out(folder / "new", {"b": (b"b\n", 0o644)}), "more")]
        for name, version, sequence, sources in (
            ("base", "1.0.0", 1, [base]),
            ("base", "2.0.0", 2, later),
            ("tools", "1.0.0", 1, [tools]),
        ):
            draft = self.shop.draft(name=name, version=version, sequence=sequence)
            take(self.shop, self.folder, *self.shop.build(draft, sources, out=f"{name}{version}"))

    @property
    def store(self) -> Store:
        return self.shop.store

    def taken(self, site: str | None = "site-a") -> inventory.Inventory:
        return inventory.take(self.store, self.store.refs().bundles, site, NOW, SILENT)

    def blob(self, data: bytes) -> Path:
        """The file of a blob."""
        path = self.store.path(digests.of(data))
        assert path is not None
        return path


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return Held(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Receipt:
    """The receipt of a whole site."""
    return Held(tmp_path_factory.mktemp("whole")).taken().receipt


def test_a_receipt_comes_back(whole: Receipt) -> None:
    again = receipt.read(whole.encode(), "it")
    assert again == whole
    assert again.encode() == whole.encode()


def test_a_receipt_tells_every_document_and_every_chunk(held: Held) -> None:
    found = held.taken().receipt
    assert (found.site, found.created) == ("site-a", "2026-11-24T12:00:00Z")
    told = [(b.name, b.version, b.sequence, b.current) for b in found.bundles]
    assert told == [
        ("base", "1.0.0", 1, False),
        ("base", "2.0.0", 2, True),
        ("tools", "1.0.0", 1, True),
    ]
    for bundle, ref in zip(found.bundles, held.store.refs().bundles, strict=True):
        assert (bundle.root, bundle.statement) == (ref.root, ref.statement)
        assert bundle.tree.documents[0][0] == ref.root
        for digest, data in bundle.tree.documents:
            assert held.store.read(digest, len(data)) == data
    [layer] = found.layers
    assert layer.digest == digests.of(LARGE)
    assert list(layer.chunks()) == list(chunks.cut(io.BytesIO(LARGE)))


def test_the_same_store_and_moment_give_the_same_receipt(tmp_path: Path) -> None:
    first = Held(tmp_path / "a")
    for bundle in ("tools", "base"):  # whatever the order in which refs were asked for
        refs = [ref for ref in first.store.refs().bundles if ref.name == bundle]
        inventory.take(first.store, refs, None, NOW, SILENT)
    assert first.taken().receipt.encode() == first.taken().receipt.encode()
    refs = first.store.refs().bundles
    turned = inventory.take(first.store, refs[::-1], "site-a", NOW, SILENT)
    assert turned.receipt == first.taken().receipt


def test_a_file_of_several_parts_in_several_manifests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "MAX_PART", 300_000)
    monkeypatch.setattr(layout, "MAX_DOCUMENT", 1500)
    site = Held(tmp_path)
    found = receipt.read(site.taken().receipt.encode(), "it")
    assert len(found.bundles[0].tree.documents) > 3
    paths = [content.path for content in found.bundles[0].tree.contents]
    assert paths == ["os/a", "os/large.bin", "os/large.bin", "os/large.bin", "os/none"]
    assert len(found.layers) == 2, "the last part is too short to be cut"


# What is not whole is left out


def lose(path: Path) -> None:
    path.unlink()


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def change(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "data", "words"),
    [
        (lose, b"b\n", "more/b: sha256:{} is missing"),
        (shorten, b"b\n", "more/b: sha256:{} has another size"),
        (lose, b"", "os/none: sha256:{} is missing"),
        (lose, LARGE, "os/large.bin: sha256:{} is missing"),
        (change, LARGE, "os/large.bin: sha256:{} is damaged"),
    ],
)
def test_a_bundle_with_a_bad_layer_is_left_out_and_named(
    held: Held, damage: Callable[[Path], None], data: bytes, words: str
) -> None:
    damage(held.blob(data))
    found = held.taken()
    spoiled = {"2.0.0"} if data == b"b\n" else {"1.0.0", "2.0.0"}
    assert {(out.name, out.version) for out in found.left_out} == {("base", v) for v in spoiled}
    expected = words.format(digests.hex_of(digests.of(data)))
    assert [out.faults for out in found.left_out] == [(expected,)] * len(spoiled)
    assert expected in str(found.left_out[0])
    kept = {(b.name, b.version) for b in found.receipt.bundles}
    assert kept == {("base", v) for v in {"1.0.0", "2.0.0"} - spoiled} | {("tools", "1.0.0")}
    assert len(found.receipt.layers) == (data != LARGE and "1.0.0" not in spoiled)
    receipt.read(found.receipt.encode(), "it")


@pytest.mark.parametrize("damage", [lose, shorten, change])
@pytest.mark.parametrize("what", ["root", "manifest", "statement", "signature"])
def test_a_bundle_with_a_bad_document_is_left_out(
    held: Held, damage: Callable[[Path], None], what: str
) -> None:
    ref = held.store.refs().bundles[2]
    root = layout.read_index(held.store.read(ref.root, layout.MAX_DOCUMENT), "root")
    digest = {
        "root": ref.root,
        "manifest": root[2][0].digest,
        "statement": ref.statement,
        "signature": ref.signatures[0],
    }[what]
    path = held.store.path(digest)
    assert path is not None
    damage(path)
    found = held.taken()
    [left] = found.left_out
    assert (left.name, left.version) == ("tools", "1.0.0")
    assert digest in left.faults[0]
    assert [bundle.name for bundle in found.receipt.bundles] == ["base", "base"]


def test_a_site_with_nothing_whole_signs_nothing(held: Held) -> None:
    lose(held.blob(b"a\n"))
    lose(held.blob(b"#!/bin/sh\n"))
    with pytest.raises(NothingWhole) as caught:
        held.taken()
    assert "os/a: " in caught.value.message
    assert [o["bundle"] for o in caught.value.details["left_out"]] == ["base", "base", "tools"]


# Reading is strict


def edited(whole: Receipt, path: tuple[str | int, ...], value: object) -> bytes:
    """The receipt with another value somewhere in it; `...` removes a field."""
    data = json.loads(whole.encode())
    place: Any = data
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return canonical.dumps(data)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("format",), 2, "format is not 1"),
        (("site",), "Site A", "which is no site"),
        (("created",), "2026-13-24T12:00:00Z", "created is no time"),
        (("created",), "today", "which is no created"),
        (("more",), 1, "missing or unknown: more"),
        (("bundles",), {}, "bundles is not a list"),
        (("bundles", 0, "current"), 1, "current is 1, neither true nor false"),
        (("bundles", 0, "name"), "../x", "which is no name"),
        (("bundles", 0, "sequence"), -1, "sequence is -1"),
        (("bundles", 0, "root"), "sha256:" + "0" * 64, "does not hash to its name"),
        (("bundles", 0, "statement"), ..., "missing or unknown: statement"),
        (("bundles", 0, "documents"), [], "is missing"),
        (("bundles", 0, "documents", 0), "text", "does not hash to its name"),
        (("bundles", 0, "documents", 1, "layers", 0, "size"), 3, "does not hash to its name"),
        (("bundles", 2, "name"), "base", "not sorted, or name a version twice"),
        (("layers", 0, "digest"), digests.of(b"foreign"), "no bundle has a layer sha256:"),
        (("layers", 0, "size"), 5, "not the sum of sizes"),
        (("layers", 0, "sizes", 0), 0, "no whole number of 1 to"),
        (("layers", 0, "sizes", 0), True, "no whole number of 1 to"),
        (("layers", 0, "sizes", 0), 10**6, "no whole number of 1 to"),
        (("layers", 0, "sizes"), [], "is not base64 of 32 bytes for each"),
        (("layers", 0, "chunks"), "%%%", "is not base64"),
        (("layers", 0, "chunks"), 7, "is not base64"),
    ],
)
def test_what_is_not_a_receipt(
    whole: Receipt, path: tuple[str | int, ...], value: object, words: str
) -> None:
    with pytest.raises(BadReceipt) as caught:
        receipt.read(edited(whole, path, value), "a.json")
    assert caught.value.message.startswith("a.json")
    assert words in caught.value.message


def test_documents_that_no_bundle_has(whole: Receipt) -> None:
    data = json.loads(whole.encode())
    data["bundles"][0]["documents"].append({})
    with pytest.raises(BadReceipt, match=r"base 1\.0\.0 has documents that do not belong to it"):
        receipt.read(canonical.dumps(data), "it")


def test_bundles_and_layers_stand_in_order_and_once(whole: Receipt) -> None:
    for field in ("bundles", "layers"):
        data = json.loads(whole.encode())
        data[field].append(copy.deepcopy(data[field][0]))
        with pytest.raises(BadReceipt, match="twice"):
            receipt.read(canonical.dumps(data), "it")


def test_bundles_stand_in_the_order_of_their_sequences(whole: Receipt) -> None:
    data = json.loads(whole.encode())
    data["bundles"].reverse()
    with pytest.raises(BadReceipt, match="bundles are not sorted"):
        receipt.read(canonical.dumps(data), "it")


def test_a_version_stands_once_whatever_its_sequence(whole: Receipt) -> None:
    data = json.loads(whole.encode())
    data["bundles"].insert(1, {**data["bundles"][0], "sequence": 2})
    with pytest.raises(BadReceipt, match="name a version twice"):
        receipt.read(canonical.dumps(data), "it")


def test_a_short_layer_has_no_chunks(whole: Receipt) -> None:
    data = json.loads(whole.encode())
    short = receipt.cut_layer(digests.of(b"a\n"), list(chunks.cut(io.BytesIO(b"a\n"))))
    data["layers"] = sorted([*data["layers"], short.encode()], key=lambda layer: layer["digest"])
    with pytest.raises(BadReceipt, match="below 262144"):
        receipt.read(canonical.dumps(data), "it")


# A site that lies: documents that hash up to their root and contradict each other


def lying(*artifacts: lies.Document) -> bytes:
    """The receipt of a site that holds one bundle of these artifacts."""
    root = lies.bundle(*artifacts)
    held = {
        "current": True,
        "documents": [json.loads(document.data) for document in root.walk()],
        "name": "base",
        "root": root.descriptor.digest,
        "sequence": 1,
        "statement": digests.of(b"statement"),
        "version": "1.0.0",
    }
    data = {
        "bundles": [held],
        "created": "2026-11-24T12:00:00Z",
        "format": 1,
        "layers": [],
        "site": None,
    }
    return canonical.dumps(data)


ONE = lies.manifest(lies.TREE, "os", lies.whole("a", b"a"))


def test_documents_that_agree_are_taken() -> None:
    found = receipt.read(lying(ONE, lies.artifact(lies.TREE, "more", ONE)), "it")
    assert [c.path for c in found.bundles[0].tree.contents] == ["os/a", "os/a"]


def test_a_document_of_another_size_than_its_parent_says() -> None:
    lie = ONE.said(size=ONE.descriptor.size + 1)
    for artifact_ in (lie, lies.artifact(lies.TREE, "os", lie)):
        with pytest.raises(BadReceipt, match="does not hash to its name"):
            receipt.read(lying(artifact_), "it")


def test_an_index_where_a_manifest_must_stand() -> None:
    deep = lies.artifact(lies.TREE, "os", lies.artifact(lies.TREE, "os", ONE))
    with pytest.raises(BadReceipt, match="an index where a manifest must stand"):
        receipt.read(lying(deep), "it")


def test_a_blob_of_two_sizes() -> None:
    blob = lies.whole("b", b"b")
    other = lies.Blob(dataclasses.replace(blob.layer, path="c", size=2), b"b", blob.whole)
    with pytest.raises(BadReceipt, match=r"os/c gives sha256:[0-9a-f]* another size"):
        receipt.read(lying(lies.manifest(lies.TREE, "os", blob, other)), "it")


def test_another_spelling_of_the_chunks_is_refused(whole: Receipt) -> None:
    plain = base64.b64encode(bytes(32)).decode()
    assert plain.endswith("A="), "its last two bits mean nothing"
    data = json.loads(whole.encode())
    data["layers"][0].update(sizes=[chunks.MAXIMUM], chunks=plain[:-2] + "B=")
    with pytest.raises(BadReceipt, match="is not base64 of 32 bytes"):
        receipt.read(canonical.dumps(data), "it")


def test_a_receipt_that_is_not_canonical(whole: Receipt) -> None:
    with pytest.raises(NotCanonical):
        receipt.read(json.dumps(json.loads(whole.encode()), indent=1).encode(), "it")


def test_a_receipt_is_bounded_both_ways(whole: Receipt, monkeypatch: pytest.MonkeyPatch) -> None:
    data = whole.encode()
    monkeypatch.setattr(receipt, "MAX_RECEIPT", len(data) - 1)
    with pytest.raises(ReceiptTooLarge):
        whole.encode()
    with pytest.raises(ReceiptTooLarge):
        receipt.read(data, "it")


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_change_anywhere_is_answered_with_another_exception(
    whole: Receipt, data: st.DataObject
) -> None:
    path: list[str | int] = []
    place = json.loads(whole.encode())
    while isinstance(place, dict | list) and place and (not path or data.draw(st.booleans())):
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        path.append(data.draw(st.sampled_from(keys)))
        place = place[path[-1]]
    value = data.draw(ODD)
    try:
        found = receipt.read(edited(whole, tuple(path), value), "it")
    except GooseError:
        return
    assert found.encode() == edited(whole, tuple(path), value)


# Who is believed


PINS = (ReceiptSigner(SITE.public, "site-a"),)


def believed(message: bytes, armored: bytes, *pins: ReceiptSigner) -> Receipt:
    return receipt_trust.believe(message, armored, pins or PINS, "a.json")


def test_a_pinned_site_is_believed(whole: Receipt) -> None:
    data = whole.encode()
    armored = sshsig.sign(data, SITE, sshsig.RECEIPT)
    assert believed(data, armored) == whole
    assert believed(data, armored, ReceiptSigner(SITE.public)) == whole


def test_a_forged_receipt(whole: Receipt) -> None:
    armored = sshsig.sign(whole.encode(), SITE, sshsig.RECEIPT)
    for forged in (edited(whole, ("created",), "2026-11-24T12:00:01Z"), b"{}", b""):
        with pytest.raises(sshsig.SignatureInvalid):
            believed(forged, armored)


def test_the_receipt_of_a_stranger_is_not_even_parsed(whole: Receipt) -> None:
    for data in (whole.encode(), b"[" * 1000):
        armored = sshsig.sign(data, STRANGER, sshsig.RECEIPT)
        with pytest.raises(UnknownReceiptSigner) as caught:
            believed(data, armored)
        assert STRANGER.public.fingerprint in caught.value.message


@pytest.mark.parametrize("namespace", [n for n in sshsig.NAMESPACES if n != sshsig.RECEIPT])
def test_a_signature_of_another_kind_of_document(whole: Receipt, namespace: str) -> None:
    data = whole.encode()
    with pytest.raises(sshsig.WrongNamespace):
        believed(data, sshsig.sign(data, SITE, namespace))


def test_a_site_that_speaks_for_another(held: Held) -> None:
    for site, told in (("site-b", "site site-b"), (None, "a site without an id")):
        data = held.taken(site).receipt.encode()
        armored = sshsig.sign(data, SITE, sshsig.RECEIPT)
        with pytest.raises(ReceiptOfAnotherSite, match=f"speaks for {told}"):
            believed(data, armored)
        assert believed(data, armored, ReceiptSigner(SITE.public)).site == site


def test_a_receipt_of_a_site_that_the_recipe_is_not_for(held: Held, whole: Receipt) -> None:
    receipt_trust.check_audience(whole, (), "a.json")
    receipt_trust.check_audience(whole, ("site-a", "site-b"), "a.json")
    with pytest.raises(WrongAudience, match=r"a\.json is of site site-a; the recipe is for site-b"):
        receipt_trust.check_audience(whole, ("site-b",), "a.json")
    with pytest.raises(WrongAudience, match="a site without an id"):
        receipt_trust.check_audience(held.taken(None).receipt, ("site-b",), "a.json")


# What a delta may leave out


def test_the_base_is_the_newest_of_ours_and_the_current_of_others(whole: Receipt) -> None:
    base = receipt_trust.base_from_receipt(whole, "base")
    assert [(b.name, b.version) for b in base.bundles] == [("tools", "1.0.0"), ("base", "2.0.0")]
    assert base.layers == {
        digests.of(data): len(data) for data in (b"a\n", b"b\n", b"", LARGE, b"#!/bin/sh\n")
    }
    documents = [whole.bundles[2].tree.documents, whole.bundles[1].tree.documents]
    assert base.documents == b"".join(data for group in documents for _, data in group)
    large = digests.of(LARGE)
    told = list(base.chunks({large, digests.of(b"a\n")}))
    assert told == [(large, chunk) for chunk in chunks.cut(io.BytesIO(LARGE))]
    assert list(base.chunks({digests.of(b"a\n")})) == []


def test_the_base_of_a_new_bundle_is_what_is_current(whole: Receipt) -> None:
    base = receipt_trust.base_from_receipt(whole, "other")
    assert [(b.name, b.version) for b in base.bundles] == [("base", "2.0.0"), ("tools", "1.0.0")]


# Stock tools


def test_ssh_keygen_checks_a_receipt(whole: Receipt, tmp_path: Path) -> None:
    data = whole.encode()
    armored = sshsig.sign(data, SITE, sshsig.RECEIPT)
    allowed = f'site-a namespaces="{sshsig.RECEIPT}" {SITE.public.openssh}\n'

    def good(message: bytes) -> bool:
        return ssh_verify(tmp_path, allowed, "site-a", armored, sshsig.RECEIPT, message=message)

    assert good(data)
    assert not good(data.replace(b"site-a", b"site-b"))


def test_jq_reads_a_receipt(whole: Receipt, tmp_path: Path) -> None:
    file = tmp_path / "site-a.receipt.json"
    file.write_bytes(whole.encode())
    layers = ".documents | map(.layers // []) | flatten | length"
    query = f'.bundles[] | "\\(.name) \\(.version) \\({layers})"'
    done = subprocess.run([part("jq"), "-r", query, file], capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == ["base 1.0.0 3", "base 2.0.0 4", "tools 1.0.0 1"]
