"""fsck, gc, and what a person decides about versions: nothing that is needed ever goes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundles import digest as digests
from bundles.progress import SILENT
from bundles.site import extract
from bundles.site.catalog import Catalog
from bundles.store import Store, choice, fsck, gc, open_store
from bundles.store.errors import BlobMissing, StoreBusy
from bundles.store.fsck import Checked
from bundles.store.local import LocalStore
from bundles.store.protocol import StoredBlob
from bundles.store.reach import DamagedStore
from tests.bundles.content import artifact, lay_out, noise, served, take, under
from tests.bundles.making import Workshop

V1 = {"same": (noise("same", 9_000), 0o644), "old": (noise("old", 40_000), 0o755)}
V2 = {"same": V1["same"], "new": (noise("new", 50_000), 0o644)}
V3 = {"same": V1["same"], "newest": (noise("newest", 60_000), 0o644)}


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    """Three versions of one bundle, the first two of them imported."""
    made = Workshop(tmp_path)
    for number, content in enumerate((V1, V2, V3), 1):
        source = lay_out(tmp_path / f"t{number}", content)
        draft = made.draft(version=f"{number}.0", sequence=number)
        size = 45_000 if number == 3 else None
        made.build(draft, [artifact(source, "t")], out=f"m{number}", volume_size=size)
    for number in (1, 2):
        made.import_(tmp_path / f"m{number}")
    return made


def clean(store: Store, keep: int | None = None, unfinished: bool = False) -> gc.Cleanup:
    with store.maintain() as held:
        cleanup = gc.plan(store, held, keep, unfinished)
        gc.drop(cleanup, held)
        gc.remove(cleanup, held, SILENT)
    return cleanup


def check(store: Store) -> Checked:
    return fsck.check(store, SILENT)


def digest_of(content: dict[str, tuple[bytes, int]], path: str) -> str:
    return digests.of(content[path][0])


def blob(store: LocalStore, digest: str) -> Path:
    found = store.path(digest)
    assert found is not None
    return found


def test_a_whole_store_is_found_whole(shop: Workshop) -> None:
    checked = check(shop.store)
    assert not checked.faults
    assert checked.blobs == len(list(shop.store.blobs()))
    assert (checked.unused_blobs, checked.leftovers, checked.bad_refs) == (0, (), None)


def test_a_flipped_bit_is_named_put_aside_and_healed(shop: Workshop) -> None:
    hurt = blob(shop.store, digest_of(V2, "new"))
    data = bytearray(hurt.read_bytes())
    data[7] ^= 1
    hurt.write_bytes(data)
    (fault,) = check(shop.store).faults
    assert (fault.digest, fault.what, fault.found) == (digest_of(V2, "new"), "damaged", 50_000)
    assert [(use.bundle, use.version, use.path) for use in fault.uses] == [("base", "2.0", "t/new")]
    assert fault.moved is not None
    assert Path(fault.moved).read_bytes() == data
    assert not hurt.exists()
    (again,) = check(shop.store).faults
    assert again.what == "missing"
    shop.import_(shop.folder / "m2")
    assert not check(shop.store).faults
    assert served(shop.store, version="2.0") == under("t", V2)


def test_the_same_blob_damaged_twice_is_kept_twice(shop: Workshop) -> None:
    for _ in range(2):
        blob(shop.store, digest_of(V2, "new")).write_bytes(b"wrong")
        check(shop.store)
        shop.import_(shop.folder / "m2")
    assert len(list((shop.store.folder / "quarantine").iterdir())) == 2


def test_a_blob_of_two_versions_names_both_and_is_asked_for_once(shop: Workshop) -> None:
    os.truncate(blob(shop.store, digest_of(V1, "same")), 10)
    checked = check(shop.store)
    (fault,) = checked.faults
    assert (fault.found, fault.size) == (10, 9_000)
    assert {use.version for use in fault.uses} == {"1.0", "2.0"}
    (request,) = fsck.requests(checked, "lab")
    assert (request.version, request.site) == ("2.0", "lab")
    assert [wanted.digest for wanted in request.layers] == [fault.digest]


def test_a_missing_blob_and_a_damaged_manifest(shop: Workshop) -> None:
    blob(shop.store, digest_of(V1, "old")).unlink()
    two = shop.store.refs().version("base", "2.0")
    assert two is not None
    blob(shop.store, two.root).write_bytes(b"{}")
    checked = check(shop.store)
    found = {fault.digest: fault for fault in checked.faults}
    assert found[two.root].hides_others
    assert found[digest_of(V1, "old")].what == "missing"
    one = {request.version: request for request in fsck.requests(checked, None)}
    assert [wanted.digest for wanted in one["2.0"].documents] == [two.root]
    assert [wanted.digest for wanted in one["1.0"].layers] == [digest_of(V1, "old")]


def test_unreadable_refs_are_measured_by_the_ones_before(shop: Workshop) -> None:
    (shop.store.folder / "index.json").write_bytes(b"{")
    checked = check(shop.store)
    assert checked.bad_refs is not None
    assert [ref.version for ref in checked.refs.bundles] == ["1.0"]
    assert not checked.faults
    (shop.store.folder / "index.json.previous").write_bytes(b"{")
    assert check(shop.store).refs.bundles == ()


def test_a_check_during_an_import_puts_nothing_aside(shop: Workshop) -> None:
    blob(shop.store, digest_of(V2, "new")).write_bytes(b"wrong")
    with shop.store.ingest("sha256:" + "0" * 64):
        checked = check(shop.store)
        assert checked.busy is not None
        assert [fault.moved for fault in checked.faults] == [None]
    assert blob(shop.store, digest_of(V2, "new")).exists()


def test_a_version_imported_during_the_check_is_no_finding(shop: Workshop) -> None:
    listed = list(shop.store.blobs())
    shop.import_(shop.folder / "m3")
    assert not fsck.check(_Listing(shop.store, listed), SILENT).faults


def test_a_version_dropped_during_the_check_is_no_finding(shop: Workshop) -> None:
    listed = list(shop.store.blobs())
    clean(shop.store, keep=1)
    assert not fsck.check(_Listing(shop.store, listed), SILENT).faults


class _Listing(LocalStore):
    """A store as it was listed a while ago."""

    def __init__(self, store: LocalStore, listed: list[StoredBlob]) -> None:
        super().__init__(store.folder)
        self._listed = listed

    def blobs(self) -> Iterator[StoredBlob]:
        return iter(self._listed)


def test_a_new_site_is_whole_and_stays_without_a_store(tmp_path: Path) -> None:
    assert not check(open_store(tmp_path / "store")).faults
    assert not (tmp_path / "store").exists()


def test_without_keep_nothing_imported_goes(shop: Workshop) -> None:
    assert not clean(shop.store)
    assert served(shop.store, version="1.0") == under("t", V1)


def test_keep_drops_the_oldest_and_frees_what_only_it_used(shop: Workshop) -> None:
    shop.import_(shop.folder / "m3")
    before = sum(found.size for found in shop.store.blobs())
    cleanup = clean(shop.store, keep=2)
    assert [ref.version for ref in cleanup.dropped] == ["1.0"]
    assert cleanup.bytes == before - sum(found.size for found in shop.store.blobs()) > 40_000
    assert served(shop.store, version="1.0") == {}
    assert served(shop.store, version="2.0") == under("t", V2)
    assert served(shop.store) == under("t", V3)
    assert not check(shop.store).faults
    assert shop.store.previous_refs() == shop.store.refs()


def test_keep_never_drops_what_is_current_or_pinned(shop: Workshop) -> None:
    shop.import_(shop.folder / "m3")
    with shop.store.maintain() as held:
        refs = shop.store.refs()
        held.publish(lambda refs: choice.pinned(refs, choice.chosen(refs, "base@1.0"), True))
        held.publish(lambda refs: choice.switched(refs, choice.chosen(refs, "base@2.0")))
    assert not clean(shop.store, keep=1).blobs
    assert [ref.version for ref in shop.store.refs().bundles] == ["1.0", "2.0", "3.0"]
    assert shop.store.refs().sequences == refs.sequences


def test_an_import_that_has_not_ended_keeps_what_it_brought(shop: Workshop) -> None:
    first, *others = sorted((shop.folder / "m3").glob("*.tar"))
    assert shop.import_(first).missing
    cleanup = clean(shop.store)
    assert len(cleanup.waiting) == 1
    done = shop.import_(*others)
    assert not done.missing
    assert served(shop.store) == under("t", V3)
    assert not check(shop.store).leftovers


def test_an_import_that_was_given_up_goes_when_told_so(shop: Workshop) -> None:
    before = {found.digest for found in shop.store.blobs()}
    shop.import_(min((shop.folder / "m3").glob("*.tar")))
    assert {found.digest for found in shop.store.blobs()} > before
    clean(shop.store, unfinished=True)
    assert {found.digest for found in shop.store.blobs()} == before
    assert not check(shop.store).leftovers


def test_nothing_is_removed_while_an_import_has_the_store(shop: Workshop) -> None:
    with shop.store.ingest("sha256:" + "0" * 64), pytest.raises(StoreBusy, match="an import"):
        shop.store.maintain()
    with shop.store.maintain(), pytest.raises(StoreBusy, match="a clean-up"):
        shop.import_(shop.folder / "m3")


@pytest.mark.parametrize("way", ["gone", "changed"])
def test_a_clean_up_that_cannot_know_what_is_used_removes_nothing(shop: Workshop, way: str) -> None:
    take(shop, shop.store.folder, shop.folder / "m3")
    two = shop.store.refs().version("base", "2.0")
    assert two is not None
    root = blob(shop.store, two.root)
    if way == "gone":
        root.unlink()
    else:  # a manifest that is well-formed, and another
        root.write_bytes(root.read_bytes().replace(b"base", b"bass"))
    before = set(shop.store.folder.rglob("*"))
    with pytest.raises(DamagedStore, match=r"base 2\.0: the root"):
        clean(shop.store, keep=2)
    assert set(shop.store.folder.rglob("*")) == before


def test_switch_and_back_and_the_rollback_rule_stays(shop: Workshop) -> None:
    with shop.store.maintain() as held:
        held.publish(lambda refs: choice.switched(refs, choice.chosen(refs, "base@1.0")))
    assert served(shop.store) == under("t", V1)
    assert shop.store.refs().sequences == {"base": 2}
    shop.import_(shop.folder / "m2")  # the newest again: a person's word is current
    assert served(shop.store) == under("t", V2)


def test_a_version_with_a_hole_is_not_whole(shop: Workshop) -> None:
    one = choice.chosen(shop.store.refs(), "base@1.0")
    fsck.require_whole(shop.store, one)
    os.truncate(blob(shop.store, digest_of(V1, "old")), 10)
    with pytest.raises(BlobMissing, match="t/old"):
        fsck.require_whole(shop.store, one)


def test_what_is_pinned_stays_pinned_when_it_is_imported_again(shop: Workshop) -> None:
    with shop.store.maintain() as held:
        held.publish(lambda refs: choice.pinned(refs, choice.chosen(refs, "base"), True))
    shop.import_(shop.folder / "m2")
    assert choice.chosen(shop.store.refs(), "base@2.0").pinned


def test_current_and_pinned_versions_cannot_be_forgotten(shop: Workshop) -> None:
    refs = shop.store.refs()
    with pytest.raises(choice.VersionKept, match="current"):
        choice.forgotten(refs, choice.chosen(refs, "base"))
    pinned = choice.pinned(refs, choice.chosen(refs, "base@1.0"), True)
    with pytest.raises(choice.VersionKept, match="pinned"):
        choice.forgotten(pinned, choice.chosen(pinned, "base@1.0"))
    one = choice.forgotten(refs, choice.chosen(refs, "base@1.0"))
    assert choice.forgotten(one, choice.chosen(one, "base")).bundles == ()
    assert one.sequences == {"base": 2}
    with pytest.raises(choice.NotImported):
        choice.chosen(one, "base@1.0")


def test_a_file_comes_out_with_its_mode(shop: Workshop, tmp_path: Path) -> None:
    catalog = Catalog(shop.store)
    one = choice.chosen(shop.store.refs(), "base@1.0")
    target = tmp_path / "copy"
    extract.extract(shop.store, extract.find(catalog, one, "t/old"), target, SILENT)
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == V1["old"]
    with pytest.raises(extract.NoSuchFile) as refused:
        extract.find(catalog, one, "t/odl")
    assert "t/old" in refused.value.hint


def test_a_damaged_file_does_not_come_out(shop: Workshop, tmp_path: Path) -> None:
    blob(shop.store, digest_of(V1, "old")).write_bytes(noise("other", 40_000))
    one = choice.chosen(shop.store.refs(), "base@1.0")
    target = tmp_path / "out" / "copy"
    target.parent.mkdir()
    target.write_bytes(b"mine")
    file = extract.find(Catalog(shop.store), one, "t/old")
    with pytest.raises(extract.DamagedFile, match="t/old"):
        extract.extract(shop.store, file, target, SILENT)
    assert target.read_bytes() == b"mine"
    assert [path.name for path in target.parent.iterdir()] == ["copy"]
