"""Deltas that are damaged, or signed by a trusted builder who lies: each is whole and true but for
the one thing its test names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import zstandard

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import layout, statement
from bundles.format.canonical import NotCanonical
from bundles.format.paths import BadLayout
from bundles.format.statement import Reference, Statement
from bundles.format.volume import END, BadVolume, TruncatedVolume, blob_name
from bundles.making.writer import encode_head
from bundles.reading import delta as deltas
from bundles.reading import patch
from bundles.reading.delta import BadDelta, Copy, Delta, Pack
from bundles.reading.missing import MissingBase
from bundles.reading.scan import DamagedBlob
from bundles.reading.unpack import DamagedBase
from bundles.reading.verify import DamagedDocument
from bundles.signing import sshsig
from tests.bundles.content import noise, take
from tests.bundles.making import read_entries
from tests.bundles.test_delta import Versions, content, edited

OLD = {
    "a": b"one\n",
    "b": b"two\n",
    "big.img": noise("big", 1 << 20),
    "kept.img": noise("kept", 1 << 20),
}
NEW = {
    **OLD,
    "a": b"three\n",
    "b": b"four\n",
    "big.img": edited(OLD["big.img"], (600_000, 600_010, b"changed")),
}


@dataclass(frozen=True)
class Parts:
    """A delta taken apart."""

    said: Statement
    delta: Delta
    patch: bytes
    packs: tuple[bytes, ...]


class Forge:
    """A site that has the base, and the tools to make a delta that lies."""

    def __init__(self, folder: Path) -> None:
        self.shop = Versions(folder)
        self.whole = self.shop.version(1, OLD)
        (self.volume,) = self.shop.version(2, NEW, *self.whole)
        self.site = folder / "site"
        take(self.shop, self.site, *self.whole)
        self.before = content(self.site)
        found = {info.name: data for info, data in read_entries(self.volume)}
        self.index = found["index.json"]
        said = statement.read(found[statement.ENTRY], "it")
        assert said.base
        delta = deltas.read(found[blob_name(said.base.digest)], "it")
        assert delta.documents
        self.parts = Parts(
            said,
            delta,
            found[blob_name(delta.documents.digest)],
            tuple(found[blob_name(pack.digest)] for pack in delta.packs),
        )

    def forged(self, parts: Parts, document: bytes | None = None) -> Path:
        """A volume of `parts`, its statement true to the delta document and signed."""
        encoded = document or parts.delta.encode()
        said = replace(parts.said, base=Reference(digests.of(encoded), len(encoded)))
        message = said.encode()
        documents = [encoded, parts.patch]
        packs = zip(parts.delta.packs, parts.packs, strict=True)
        entries = [
            ("oci-layout", layout.OCI_LAYOUT),
            ("index.json", self.index),
            (statement.ENTRY, message),
            (statement.signature_entry(1), sshsig.sign(message, self.shop.signer, sshsig.BUNDLE)),
            *((blob_name(digests.of(data)), data) for data in documents),
            *((blob_name(pack.digest), data) for pack, data in packs),
        ]
        volume = self.shop.folder / "forged.goose.tar"
        volume.write_bytes(encode_head(entries, 0) + END)
        return volume

    def refused(self, volume: Path, kind: type[GooseError], words: str) -> GooseError:
        """Imports `volume`, which must be refused with `kind`; the site serves what it served."""
        with pytest.raises(GooseError) as caught:
            take(self.shop, self.site, volume)
        assert type(caught.value) is kind, caught.value
        assert words in caught.value.message
        assert caught.value.hint, "every refusal says what to do next"
        assert set(self.before) <= set(content(self.site))
        return caught.value

    def lie(self, parts: Parts, kind: type[GooseError], words: str) -> None:
        """As `refused`, and nothing was written."""
        self.refused(self.forged(parts), kind, words)
        assert content(self.site) == self.before

    def with_pack(self, number: int, **fields: object) -> Parts:
        """The parts with one pack said otherwise."""
        packs = list(self.parts.delta.packs)
        packs[number] = replace(packs[number], **fields)  # type: ignore[arg-type]
        return self.with_delta(packs=tuple(packs))

    def with_delta(self, **fields: object) -> Parts:
        """The parts with the delta document said otherwise."""
        return replace(self.parts, delta=replace(self.parts.delta, **fields))  # type: ignore[arg-type]

    def with_copies(self, change: Callable[[Sequence[Copy]], Sequence[Copy]]) -> Parts:
        """The parts with the copies of the large layer changed."""
        ((number, copies),) = self.parts.delta.packs[1].copies.items()
        return self.with_pack(1, copies={number: tuple(change(copies))})


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path)


def test_delta_without_a_lie(forge: Forge) -> None:
    """The tools of these tests make what the reader takes, so what it refuses is the lie."""
    assert [len(pack.copies) for pack in forge.parts.delta.packs] == [0, 1]
    volume = forge.forged(forge.parts)
    assert take(forge.shop, forge.site, volume).state == "complete"


# Check 13: the delta document


def test_copy_out_of_bounds(forge: Forge) -> None:
    parts = forge.with_copies(lambda c: [c[0], replace(c[1], offset=c[1].offset + 1)])
    forge.lie(parts, BadDelta, "copies from beyond the end")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: [replace(c[0], blob=1), c[1]], "a copy that cannot be"),
        (lambda c: [replace(c[0], size=0), c[1]], "a copy that cannot be"),
        (lambda c: [replace(c[0], size=layout.MAX_PART + 1), c[1]], "a copy that cannot be"),
        (lambda c: [replace(c[0], literal=-1), c[1]], "where a whole number must stand"),
        (lambda c: [replace(c[0], offset=-1), c[1]], "where a whole number must stand"),
        (lambda c: [], "which the pack does not make"),
    ],
)
def test_copy_that_cannot_be(
    forge: Forge, change: Callable[[Sequence[Copy]], Sequence[Copy]], words: str
) -> None:
    forge.lie(forge.with_copies(change), BadDelta, words)


def test_copies_for_a_layer_of_no_pack(forge: Forge) -> None:
    ((_, copies),) = forge.parts.delta.packs[1].copies.items()
    forge.lie(forge.with_pack(1, copies={0: copies}), BadDelta, "which the pack does not make")


def test_base_blob_named_twice(forge: Forge) -> None:
    blobs = forge.parts.delta.blobs
    forge.lie(forge.with_delta(blobs=blobs * 2), BadDelta, "names a base blob twice")


def test_pack_that_makes_nothing(forge: Forge) -> None:
    forge.lie(forge.with_pack(0, runs=()), BadDelta, "makes nothing")


def test_delta_on_nothing(forge: Forge) -> None:
    forge.lie(forge.with_delta(bundles=()), BadDelta, "builds on 0 bundles")


def test_packs_that_no_volume_covers(forge: Forge) -> None:
    parts = replace(forge.parts, said=replace(forge.parts.said, volumes=(1,)))
    forge.lie(parts, BadDelta, "do not cover its packs")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"{}", BadDelta),
        (b"[]", BadDelta),
        (b'{"a": 1}', NotCanonical),
        (b'{"blobs":[],"bundles":[],"documents":null,"format":2,"packs":[]}', BadDelta),
        (b'{"blobs":5,"bundles":[],"documents":null,"format":1,"packs":[]}', BadDelta),
    ],
)
def test_delta_document_of_another_form(forge: Forge, data: bytes, kind: type[GooseError]) -> None:
    forge.refused(forge.forged(forge.parts, data), kind, "delta document")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"format":1', b'"format":2'),
        (b'"format":1', b'"format":true'),
        (b'"format":1', b'"format":1,"more":1'),
        (b'"layers":[', b'"layer":0,"layers":['),
    ],
)
def test_delta_document_with_what_format_1_does_not_have(
    forge: Forge, old: bytes, new: bytes
) -> None:
    data = forge.parts.delta.encode().replace(old, new)
    forge.refused(forge.forged(forge.parts, data), BadDelta, "does not have")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"layers":[', b'"layers":[1,', "cut short"),
        (b'"name":"base"', b'"name":"Base"', "names no bundle"),
        (b'"version":"1.0.0"', b'"version":""', "names no bundle"),
        (b'"copies":[[', b'"copies":[[],[', "is no delta document"),
        (b'"packs":[{', b'"packs":[null,{', "is no delta document"),
    ],
)
def test_delta_document_with_a_field_of_another_form(
    forge: Forge, old: bytes, new: bytes, words: str
) -> None:
    data = forge.parts.delta.encode().replace(old, new)
    forge.refused(forge.forged(forge.parts, data), BadDelta, words)


def test_delta_document_damaged(forge: Forge) -> None:
    data = bytearray(forge.volume.read_bytes())
    at = data.index(b'"bundles":[{')
    data[at + 2] ^= 1
    forge.volume.write_bytes(data)
    forge.refused(forge.volume, DamagedDocument, "delta document does not hash to its name")


# Check 14: the patch


def patched(forge: Forge, data: bytes) -> Parts:
    """The parts with another patch."""
    said = Reference(digests.of(data), len(data))
    return replace(forge.with_delta(documents=said), patch=data)


def test_patch_damaged(forge: Forge) -> None:
    data = bytearray(forge.volume.read_bytes())
    at = bytes(data).index(forge.parts.patch)
    data[at + 20] ^= 1
    forge.volume.write_bytes(data)
    forge.refused(forge.volume, DamagedDocument, "patch does not hash to its name")


def test_documents_bomb(forge: Forge) -> None:
    """A few hundred bytes that would be a gigabyte, honest about it or not."""
    bomb = zstandard.ZstdCompressor(write_content_size=True).compress(bytes(patch.MAX_CONTENT + 1))
    parts = patched(forge, bomb)
    forge.lie(parts, BadDelta, "is not one to")
    totals = replace(parts.said.totals, document_bytes=patch.MAX_CONTENT + 3)
    honest = replace(parts, said=replace(parts.said, totals=totals))
    forge.lie(honest, BadDelta, f"at most {patch.MAX_CONTENT}")


def test_patch_that_does_not_say_its_size(forge: Forge) -> None:
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(b"{}" * 500)
    forge.lie(patched(forge, silent), BadDelta, "is not one to")


def test_patch_with_something_behind_it(forge: Forge) -> None:
    forge.lie(patched(forge, forge.parts.patch + b"more"), BadDelta, "does not fit its base")


def test_patch_that_is_no_patch(forge: Forge) -> None:
    forge.lie(patched(forge, b"not zstd at all"), BadDelta, "does not fit its base")


def test_patch_of_another_base(forge: Forge) -> None:
    other = forge.shop.since(*forge.shop.version(3, {"a": b"other\n"})).documents or b""
    size = forge.parts.said.totals.document_bytes - 2
    forge.lie(patched(forge, patch.compress(noise("x", size), other)), DamagedDocument, "hash")


# Check 15: what packs make


def test_layer_made_longer_than_it_is(forge: Forge) -> None:
    parts = forge.with_copies(lambda c: [*c, Copy(0, 0, 0, 1000)])
    forge.lie(parts, BadDelta, "would be made longer than it is")


def test_pack_with_bytes_that_no_layer_takes(forge: Forge) -> None:
    parts = forge.with_copies(lambda c: [replace(c[0], size=c[0].size - 1), c[1]])
    forge.lie(parts, BadDelta, "has not the bytes that its layers take")


def test_layer_made_twice(forge: Forge) -> None:
    first = forge.parts.delta.packs[0]
    parts = forge.with_delta(packs=(first, *forge.parts.delta.packs))
    parts = replace(parts, said=replace(parts.said, volumes=(3,)))
    forge.lie(replace(parts, packs=(parts.packs[0], *parts.packs)), BadDelta, "made twice")


def test_layer_that_the_bundle_does_not_have(forge: Forge) -> None:
    """Nor is memory taken for the 2^50 layers that it says to make."""
    forge.lie(forge.with_pack(0, runs=((0, 2**50),)), BadDelta, "does not have")


def test_copy_from_a_layer_of_its_own(forge: Forge) -> None:
    own = Reference(digests.of(NEW["a"]), len(OLD["big.img"]))
    forge.lie(forge.with_delta(blobs=(own,)), BadDelta, "from a layer that it makes itself")


# Check 16: the base


def test_copy_from_a_foreign_blob(forge: Forge) -> None:
    foreign = Reference(digests.of(b"foreign"), len(OLD["big.img"]))
    forge.lie(forge.with_delta(blobs=(foreign,)), MissingBase, foreign.digest)


def test_base_blob_of_another_size(forge: Forge) -> None:
    (blob,) = forge.parts.delta.blobs
    parts = forge.with_delta(blobs=(replace(blob, size=blob.size + 1),))
    forge.lie(parts, MissingBase, blob.digest)


def test_layer_that_nobody_brings(forge: Forge) -> None:
    parts = forge.with_delta(packs=forge.parts.delta.packs[1:])
    parts = replace(parts, packs=parts.packs[1:], said=replace(parts.said, volumes=(1,)))
    forge.lie(parts, MissingBase, "os/a")


# Checks 10, 11, 12 and 17: packs


def test_base_changed(forge: Forge) -> None:
    """A blob of the store that lost a bit since makes no layer."""
    path = forge.site / "blobs/sha256" / digests.hex_of(digests.of(OLD["big.img"]))
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    error = forge.refused(forge.volume, DamagedBase, "os/big.img")
    assert "fsck" in error.hint
    assert error.details["sources"] == [digests.of(OLD["big.img"])]


def test_copy_from_elsewhere_in_the_base(forge: Forge) -> None:
    parts = forge.with_copies(lambda c: [replace(c[0], offset=1), c[1]])
    volume = forge.forged(parts)
    forge.refused(volume, DamagedBase, "os/big.img")
    made = blob_name(digests.of(NEW["big.img"]))
    assert not (forge.site / made).exists()


@pytest.mark.parametrize("number", [0, 1])
def test_pack_damaged(forge: Forge, number: int) -> None:
    """The layers that hold the damage are named, the others are kept."""
    data = bytearray(forge.volume.read_bytes())
    at = bytes(data).index(forge.parts.packs[number])
    data[at] ^= 1
    forge.volume.write_bytes(data)
    error = forge.refused(forge.volume, DamagedBlob, ("os/a", "os/big.img")[number])
    assert error.details["offset"] == at
    kept = digests.hex_of(digests.of(NEW["b"]))
    assert kept in content(forge.site)


def test_pack_that_is_not_what_the_delta_says(forge: Forge) -> None:
    """Its layers are right, its own digest is not."""
    parts = forge.with_pack(0, digest=digests.of(b"other"))
    forge.refused(forge.forged(parts), DamagedBlob, "damaged")


def test_pack_cut_short(forge: Forge) -> None:
    data = forge.volume.read_bytes()
    forge.volume.write_bytes(data[: data.index(forge.parts.packs[1]) + 3])
    forge.refused(forge.volume, TruncatedVolume, "ends within")


def test_pack_with_padding_that_is_not_zero(forge: Forge) -> None:
    data = bytearray(forge.volume.read_bytes())
    data[-len(END) - 1] = 1
    forge.volume.write_bytes(data)
    forge.refused(forge.volume, BadVolume, "padding")


def test_volume_number_beyond_the_last(forge: Forge) -> None:
    forge.index = forge.index.replace(b'"goose.volume":"1/1"', b'"goose.volume":"9/9"')
    forge.refused(forge.forged(forge.parts), BadLayout, "index.json does not follow")


def test_delta_of_an_older_version_is_a_rollback(forge: Forge) -> None:
    third = forge.shop.version(3, NEW, *forge.whole)
    take(forge.shop, forge.site, *third)
    with pytest.raises(GooseError) as caught:
        take(forge.shop, forge.site, forge.volume)
    assert caught.value.code == "rollback-refused"


def test_base_that_lost_a_bit_on_the_builders_side(forge: Forge) -> None:
    """Chunks of a damaged volume would be copied from what the site does not have."""
    (volume,) = forge.whole
    data = bytearray(volume.read_bytes())
    data[bytes(data).index(OLD["big.img"][:64]) + 1000] ^= 1
    volume.write_bytes(data)
    with pytest.raises(GooseError) as caught:
        forge.shop.version(2, NEW, volume, out="again")
    assert caught.value.code == "damaged-base-volume"


def test_any_pack_is_read_or_refused() -> None:
    """A `Pack` that comes back is the one that was written."""
    pack = Pack(digests.of(b""), 0, ((0, 2), (5, 1)), {5: (Copy(0, 0, 1, 2),)})
    whole = Delta(
        (deltas.BaseBundle("base", "1.0.0", digests.of(b"root")),),
        None,
        (Reference(digests.of(b"blob"), 3),),
        (pack,),
    )
    assert deltas.read(whole.encode(), "it") == whole
