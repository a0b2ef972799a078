"""Deltas: volumes that hold only what the site lacks, and a site that is none the poorer."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundles import digest as digests
from bundles.format import statement
from bundles.progress import SILENT
from bundles.reading.missing import MissingBase
from bundles.signing.policy import Policy
from bundles.site.check import check_volumes
from bundles.site.stored_base import StoredBase
from bundles.store import open_store
from tests.bundles.content import artifact, lay_out, listing, noise, served, take, under
from tests.bundles.making import NOW, Workshop, read_entries
from tests.parts import part


class Versions(Workshop):
    """A workshop that makes versions of one tree."""

    def tree_of(self, number: int, files: Mapping[str, bytes]) -> Path:
        """A folder for version `number`."""
        return lay_out(self.folder / f"tree-{number}", {p: (d, 0o644) for p, d in files.items()})

    def version(
        self, number: int, files: Mapping[str, bytes], *since: Path, **how: object
    ) -> list[Path]:
        """The volumes of version `number`: complete, or a delta on the volumes `since`."""
        draft = self.draft(version=f"{number}.0.0", sequence=number)
        out = f"{'delta' if since else 'whole'}-{number}"
        source = artifact(self.tree_of(number, files), "os")
        base = self.since(*since) if since else None
        return self.build(draft, [source], out=str(how.pop("out", out)), base=base, **how)  # type: ignore[arg-type]


@pytest.fixture
def shop(tmp_path: Path) -> Versions:
    return Versions(tmp_path)


def content(store: Path) -> dict[str, bytes]:
    """Every blob of a store but statements and signatures."""
    blobs = listing(store / "blobs/sha256")
    refs = open_store(store).refs()
    signed = {d for ref in refs.bundles for d in (ref.statement, *ref.signatures)}
    return {name: data for name, data in blobs.items() if digests.PREFIX + name not in signed}


def size_of(volumes: list[Path]) -> int:
    return sum(volume.stat().st_size for volume in volumes)


OLD = {
    **{f"etc/{n:04}": noise(f"etc {n}", 2000) for n in range(400)},
    "empty": b"",
    "lib/kept.bin": noise("kept", 700_000),
    "lib/large.bin": noise("large", 900_000),
}
NEW = {
    **OLD,
    **{f"etc/{n:04}": noise(f"new {n}", 2000) for n in range(0, 400, 100)},
    "etc/added": b"added\n",
    "etc/again": b"added\n",
    "config.json": b"{}",
    "lib/large.bin": noise("larger", 1_000_000),
}


@pytest.mark.parametrize("size", [None, 600_000])
def test_import_of_a_delta_is_import_of_the_whole(shop: Versions, size: int | None) -> None:
    """Volumes in any order, in one call each; nothing but what is new is on the media."""
    old = shop.version(1, OLD, volume_size=size)
    new = shop.version(2, NEW, volume_size=size)
    delta = shop.version(2, NEW, *old, volume_size=size)
    assert (len(delta) > 1) == (size is not None)
    assert size_of(delta) < 1_000_000 + 4 * 2600 + 12_000 * len(delta)
    for store, order in (("whole", new), ("delta", delta[::-1])):
        take(shop, shop.folder / store, *old)
        states = [take(shop, shop.folder / store, volume).state for volume in order]
        assert states[-1] == "complete" and set(states[:-1]) <= {"incomplete"}
    tree = under("os", {path: (data, 0o644) for path, data in NEW.items()})
    assert served(open_store(shop.folder / "delta")) == tree
    assert content(shop.folder / "delta") == content(shop.folder / "whole")
    roots = [open_store(shop.folder / s).refs().current("base") for s in ("whole", "delta")]
    assert roots[0] and roots[1] and roots[0].root == roots[1].root


def test_one_volume_of_the_base_is_enough(shop: Versions) -> None:
    old = shop.version(1, OLD, volume_size=600_000)
    delta = shop.version(2, NEW, old[0], volume_size=600_000)
    assert len(old) > 2 and size_of(delta) < 1_100_000
    take(shop, shop.folder / "site", *old)
    assert take(shop, shop.folder / "site", *delta).state == "complete"


def test_the_same_base_and_inputs_give_the_same_bytes(shop: Versions) -> None:
    old = shop.version(1, OLD)
    first = shop.version(2, NEW, *old)
    again = shop.version(2, NEW, *old, out="again")
    assert [v.read_bytes() for v in first] == [v.read_bytes() for v in again]


def test_a_delta_on_a_delta(shop: Versions) -> None:
    old = shop.version(1, OLD)
    second = shop.version(2, NEW, *old)
    newest = {**NEW, "etc/0007": b"seven\n"}
    third = shop.version(3, newest, *old, *second)
    assert size_of(third) < 20_000
    for volumes in (old, second, third):
        assert take(shop, shop.folder / "site", *volumes).state == "complete"
    tree = under("os", {path: (data, 0o644) for path, data in newest.items()})
    assert served(open_store(shop.folder / "site")) == tree
    shop.version(1, OLD, *old, out="same")  # one that brings nothing


def test_a_base_delta_without_its_own_base(shop: Versions) -> None:
    second = shop.version(2, NEW, *shop.version(1, OLD))
    with pytest.raises(MissingBase, match=r"builds on base 1\.0\.0"):
        shop.since(*second)


def test_a_delta_sealed_is_the_delta(shop: Versions) -> None:
    from pyrage import x25519

    old = shop.version(1, OLD)
    plain = shop.version(2, NEW, *old)
    identity = x25519.Identity.generate()
    sealed = shop.version(2, NEW, *old, out="sealed", recipients=[identity.to_public()])
    key = shop.folder / "site.agekey"
    key.write_text(str(identity))
    opened = subprocess.run([part("age"), "-d", "-i", key, sealed[0]], capture_output=True)
    assert opened.stdout == plain[0].read_bytes()


def test_a_delta_without_its_base_is_refused_before_anything_is_written(shop: Versions) -> None:
    delta = shop.version(2, NEW, *shop.version(1, OLD))
    with pytest.raises(MissingBase, match=r"builds on base 1\.0\.0|documents of base 1\.0\.0"):
        take(shop, shop.folder / "site", *delta)
    assert not (shop.folder / "site").exists()


def test_every_missing_base_blob_is_named(shop: Versions) -> None:
    old = shop.version(1, OLD)
    delta = shop.version(2, NEW, *old)
    site = shop.folder / "site"
    take(shop, site, *old)
    gone = ["lib/kept.bin", "etc/0005", "etc/0006"]
    for path in gone:
        (site / "blobs/sha256" / digests.hex_of(digests.of(OLD[path]))).unlink()
    before = content(site)
    with pytest.raises(MissingBase) as caught:
        take(shop, site, *delta)
    assert content(site) == before
    assert "3 of its blobs are not here" in caught.value.message
    blobs = caught.value.details["blobs"]
    assert {blob["path"] for blob in blobs} == {f"os/{path}" for path in gone}  # type: ignore[attr-defined]


def test_verify_says_what_it_can_without_a_base(shop: Versions) -> None:
    old = shop.version(1, OLD)
    delta = shop.version(2, NEW, *old)
    bare = check_volumes(delta, shop.root, Policy(NOW), SILENT)
    assert bare.lacking and not bare.faults
    take(shop, shop.folder / "site", *old)
    base = StoredBase(open_store(shop.folder / "site"))
    full = check_volumes(delta, shop.root, Policy(NOW), SILENT, base=base)
    assert full.lacking is None and not full.faults and not full.unchecked
    data = bytearray(delta[0].read_bytes())
    data[-2400] ^= 1
    delta[0].write_bytes(data)
    for known in (None, base):
        checked = check_volumes(delta, shop.root, Policy(NOW), SILENT, base=known)
        assert [fault.code for fault in checked.faults] == ["damaged-blob"]


def test_stock_zstd_makes_the_documents(shop: Versions, tmp_path: Path) -> None:
    """``zstd -d --patch-from`` of the base's documents gives those of the new version."""
    old = shop.version(1, OLD)
    (volume,) = shop.version(2, NEW, *old)
    (whole,) = shop.version(2, NEW)
    names = [info.name for info, _ in read_entries(volume)]
    entries = {info.name: data for info, data in read_entries(volume)}
    patch = tmp_path / "patch.zst"
    patch.write_bytes(entries[names[5]])
    base = tmp_path / "base"
    base.write_bytes(shop.since(*old).documents or b"")
    command = [part("zstd"), "-d", "-q", f"--patch-from={base}", patch, "-o", tmp_path / "new"]
    subprocess.run(command, check=True)
    assert (tmp_path / "new").read_bytes() == shop.since(whole).documents
    said = statement.read(entries["goose/statement.json"], "it")
    assert said.base and said == replace(
        statement.read(
            {info.name: data for info, data in read_entries(whole)}["goose/statement.json"], "it"
        ),
        base=said.base,
        volumes=said.volumes,
    )


def edited(data: bytes, *edits: tuple[int, int, bytes]) -> bytes:
    """`data` with bytes from and to replaced; the edits do not overlap."""
    for start, end, new in sorted(edits, reverse=True):
        data = data[:start] + new + data[end:]
    return data


BIG = 24 << 20
EDITS = {
    "one byte in front": ([(0, 0, b"x")], 1),
    "one byte off the front": ([(0, 1, b"")], 1),
    "one byte in the middle": ([(BIG // 2, BIG // 2, b"x")], 1),
    "one per cent in one run": (
        [(5 << 20, (5 << 20) + BIG // 100, noise("run", BIG // 100))],
        251658,
    ),
    "one per cent in four runs": (
        [(n << 22, (n << 22) + BIG // 400, noise(f"run {n}", BIG // 400)) for n in (0, 1, 3, 5)],
        BIG // 100,
    ),
    "cut short": ([(BIG // 3, BIG, b"")], 0),
    "said twice": ([(0, 0, noise("big", 1 << 20))], 0),
}


@pytest.mark.parametrize("name", EDITS)
def test_of_a_large_file_only_what_changed_is_sent(shop: Versions, name: str) -> None:
    edits, changed = EDITS[name]
    old = {"small": b"small\n", "big.img": noise("big", BIG)}
    new = {**old, "big.img": edited(old["big.img"], *edits)}
    whole = shop.version(1, old)
    delta = shop.version(2, new, *whole)
    assert size_of(delta) <= 1.05 * changed + 9 * 1024
    take(shop, shop.folder / "site", *whole)
    assert take(shop, shop.folder / "site", *delta).state == "complete"
    tree = under("os", {path: (data, 0o644) for path, data in new.items()})
    assert served(open_store(shop.folder / "site")) == tree
    third = {**new, "big.img": edited(new["big.img"], (77, 77, b"third"))}
    again = shop.version(3, third, *whole, *delta)
    assert size_of(again) < 16 * 1024
    assert take(shop, shop.folder / "site", *again).state == "complete"
    checked = check_volumes(delta, shop.root, Policy(NOW), SILENT, base=shop.volumes(*whole))
    assert not checked.faults and not checked.unchecked


def test_a_new_large_file_is_looked_for_in_what_stays(shop: Versions) -> None:
    """A second image beside the first, of which it is a copy with changes."""
    old = {"one.img": noise("big", BIG)}
    new = {**old, "two.img": edited(old["one.img"], (100, 200, b"other"))}
    assert size_of(shop.version(2, new, *shop.version(1, old))) < 16 * 1024


def test_without_the_bytes_of_the_base_copies_end_at_chunks(shop: Versions) -> None:
    """As from a receipt, which has digests only."""
    old = {"big.img": noise("big", BIG)}
    new = {"big.img": edited(old["big.img"], (BIG // 2, BIG // 2, b"x"))}
    whole = shop.version(1, old)
    base = replace(shop.since(*whole), read=None)
    source = artifact(shop.tree_of(2, new), "os")
    delta = shop.build(shop.draft(version="2.0.0", sequence=2), [source], base=base)
    assert size_of(delta) < 300_000
    take(shop, shop.folder / "site", *whole)
    assert take(shop, shop.folder / "site", *delta).state == "complete"


TREES = st.dictionaries(
    st.sampled_from(["a", "b/c", "d", "e.img", "f.img"]),
    st.tuples(st.sampled_from(["x", "y", "z"]), st.sampled_from([0, 1, 3000, 400_000, 900_000])),
    min_size=1,
)
CHANGES = st.lists(
    st.tuples(st.integers(0, 900_000), st.binary(max_size=40), st.integers(0, 9)), max_size=3
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(TREES, TREES, CHANGES, st.sampled_from([None, 1_000_000]))
def test_base_and_delta_are_the_complete_bundle(
    tmp_path_factory: pytest.TempPathFactory,
    first: dict[str, tuple[str, int]],
    second: dict[str, tuple[str, int]],
    changes: list[tuple[int, bytes, int]],
    size: int | None,
) -> None:
    shop = Versions(tmp_path_factory.mktemp("shop"))
    old = {path: noise(seed, length) for path, (seed, length) in first.items()}
    new = {path: noise(seed, length) for path, (seed, length) in second.items()}
    for at, data, gone in changes:
        new = {path: d[:at] + data + d[at + gone :] for path, d in new.items()}
    base = shop.version(1, old, volume_size=size)
    whole, delta = (
        shop.version(2, new, volume_size=size),
        shop.version(2, new, *base, volume_size=size),
    )
    for store, volumes in (("whole", whole), ("delta", delta)):
        take(shop, shop.folder / store, *base)
        assert take(shop, shop.folder / store, *volumes).state == "complete"
    assert content(shop.folder / "delta") == content(shop.folder / "whole")
    tree = under("os", {path: (data, 0o644) for path, data in new.items()})
    assert served(open_store(shop.folder / "delta")) == tree
