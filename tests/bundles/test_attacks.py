"""What a hostile or broken volume must not get away with, by the attack's name.

Every refusal leaves the site as it was: what was served is served, and nothing new is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.format import paths, statement
from bundles.format.volume import (
    BadVolume,
    DeviceEntry,
    DuplicateEntry,
    EntryEscapes,
    ExtraEntry,
    LinkEntry,
    MissingEntry,
    TrailingData,
    TruncatedVolume,
)
from bundles.making import plan
from bundles.making.build import OutputBusy, OutputExists, OutputFailed
from bundles.progress import SILENT
from bundles.reading import verify
from bundles.reading.media import NoVolumes
from bundles.reading.scan import DamagedBlob
from bundles.signing import keys, policy, sshsig, trust, truststore
from bundles.site.catalog import Catalog
from bundles.site.ingest import MixedVolumes, import_volumes
from bundles.site.switch import VersionTaken
from bundles.sources import Artifact, SourceFile, tree
from bundles.store import open_store
from bundles.store.errors import BadRefs, StoreFull
from tests.bundles.making import NOW, Workshop, entry, read_entries

HEAD_ENTRIES = 4  # oci-layout, index.json, statement, one signature


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    """A workshop, with a site that has imported nothing."""
    return Workshop(tmp_path)


def refused(shop: Workshop, volume: Path, kind: type[GooseError], words: str = "") -> GooseError:
    """Imports `volume`, which must be refused with exactly `kind`, naming `words`."""
    with pytest.raises(GooseError) as caught:
        shop.import_(volume)
    assert type(caught.value) is kind, caught.value
    assert words in caught.value.message
    assert caught.value.hint, "every refusal says what to do next"
    assert shop.store.refs().bundles == ()
    assert list(Catalog(shop.store).list("base", None)) == []
    return caught.value


# Check 0 and 3: who signed


def test_a_site_without_trust_root_imports_nothing(tmp_path: Path) -> None:
    with pytest.raises(truststore.NoTrustRoot) as caught:
        truststore.TrustStore(tmp_path / "trust").root()
    assert "trust init" in caught.value.hint


def test_unknown_signer(shop: Workshop) -> None:
    path, stranger = keys.new_signing(shop.folder / "keys", "stranger")
    volume, *_ = shop.build(signers=[keys.load_private(path)])
    refused(shop, volume, trust.UnknownSigner, stranger.fingerprint)


def test_unsigned_volume(shop: Workshop) -> None:
    volume = shop.repacked(shop.build()[0], lambda entries: entries.pop(3))
    refused(shop, volume, trust.TooFewSignatures)


def resigned(shop: Workshop, namespace: str) -> Path:
    """A volume whose statement is signed by the right key for another kind of document."""

    def sign(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        entries[3] = (entries[3][0], sshsig.sign(entries[2][1], shop.signer, namespace))

    return shop.repacked(shop.build()[0], sign)


@pytest.mark.parametrize("namespace", [n for n in sshsig.NAMESPACES if n != sshsig.BUNDLE])
def test_signature_of_another_kind_of_document(shop: Workshop, namespace: str) -> None:
    refused(shop, resigned(shop, namespace), sshsig.WrongNamespace, namespace)


def test_signature_of_another_bundle(shop: Workshop) -> None:
    other = shop.build(shop.draft(version="2.0.0", sequence=2), out="other")[0]
    signature = read_entries(other)[3]

    def swap(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        entries[3] = signature

    refused(shop, shop.repacked(shop.build()[0], swap), sshsig.SignatureInvalid, "does not match")


def test_one_signature_twice_is_not_two(shop: Workshop) -> None:
    _, second = keys.new_signing(shop.folder / "keys", "second")
    both = [(shop.signer.public, "release"), (second, "second")]
    shop.root = trust.first(both, 2)
    volume, *_ = shop.build(signers=[shop.signer, shop.signer])
    refused(shop, volume, trust.TooFewSignatures, "asks for 2 of 2")


def test_statement_of_another_builder_under_our_signature(shop: Workshop) -> None:
    def edit(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        info, data = entries[2]
        data = data.replace(b'"sequence":1', b'"sequence":9')
        entries[2] = (info, data)

    refused(shop, shop.repacked(shop.build()[0], edit), sshsig.SignatureInvalid)


# A flipped byte, anywhere


def regions(volume: Path) -> dict[str, int]:
    """An offset in the middle of each kind of data in a volume."""
    found, kinds = {}, ["layout", "index", "statement", "signature", "root", "manifest"]
    with tarfile.open(volume) as archive:
        infos = list(archive)
    for kind, info in zip(kinds, infos, strict=False):
        found[kind] = info.offset_data + info.size // 2
        found[f"{kind} header"] = info.offset + 120
    largest = max(infos, key=lambda info: info.size)
    found["blob"] = largest.offset_data + largest.size // 2
    found["blob header"] = largest.offset + 20
    found["padding"] = infos[0].offset_data + infos[0].size + 1
    found["end"] = volume.stat().st_size - 700
    return found


REFUSALS: dict[str, type[GooseError]] = {
    "layout": paths.BadLayout,
    "index": paths.BadLayout,
    "statement": sshsig.SignatureInvalid,
    "root": verify.DamagedDocument,
    "manifest": verify.DamagedDocument,
    "blob": DamagedBlob,
    "padding": BadVolume,
}


@pytest.mark.parametrize("region", REFUSALS)
def test_flipped_byte(shop: Workshop, region: str) -> None:
    volume = shop.build()[0]
    at = regions(volume)[region]

    def flip(data: bytearray) -> None:
        data[at] ^= 1

    fault = refused(shop, shop.spoiled(volume, flip), REFUSALS[region])
    if region == "blob":
        assert "os/lib/large.bin" in fault.message, "the file is named, not only a digest"
        assert fault.details["entry"] == "os/lib/large.bin"


def test_flipped_byte_in_every_place(shop: Workshop) -> None:
    """Whatever byte of a volume is changed, the volume is refused; every 17th is tried, and every
    one of the signature."""
    volume = shop.build()[0]
    data = volume.read_bytes()
    signature = next(i for i, _ in read_entries(volume) if i.name.endswith("sig.1"))
    places = set(range(0, 24_000, 17)) | set(range(24_000, len(data), 4_999))
    places |= set(range(signature.offset_data, signature.offset_data + signature.size))
    for at in sorted(places):

        def flip(data: bytearray, at: int = at) -> None:
            data[at] ^= 0x55

        with pytest.raises(GooseError):
            shop.check(shop.spoiled(volume, flip))


def test_truncated_volume_at_every_length(shop: Workshop) -> None:
    volume = shop.build()[0]
    size = volume.stat().st_size
    for length in [*range(0, 20_000, 509), *range(20_000, size, 40_009), size - 1, size - 1024]:

        def cut(data: bytearray, length: int = length) -> None:
            del data[length:]

        with pytest.raises(TruncatedVolume, match="ends within"):
            shop.check(shop.spoiled(volume, cut))


# Entries that do not belong


@pytest.mark.parametrize("place", [0, 1, 4, 6, 9, None])
def test_extra_entry(shop: Workshop, place: int | None) -> None:
    volume = shop.build()[0]
    volume = shop.repacked(
        volume, lambda e: e.insert(len(e) if place is None else place, entry("evil", b"data"))
    )
    refused(shop, volume, ExtraEntry, "evil")


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "blobs/../../evil", ".."])
def test_entry_that_leaves_the_root(shop: Workshop, name: str) -> None:
    volume = shop.repacked(shop.build()[0], lambda e: e.append(entry(name, b"data")))
    refused(shop, volume, EntryEscapes, name)
    assert not (shop.folder / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_link(shop: Workshop, kind: bytes) -> None:
    volume = shop.repacked(
        shop.build()[0], lambda e: e.append(entry("blobs/sha256/x", kind=kind, link="/etc/passwd"))
    )
    refused(shop, volume, LinkEntry, "blobs/sha256/x")


def test_link_in_place_of_a_blob(shop: Workshop) -> None:
    def swap(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        name = entries[-1][0].name
        entries[-1] = entry(name, kind=tarfile.SYMTYPE, link="/etc/shadow")

    refused(shop, shop.repacked(shop.build()[0], swap), LinkEntry)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_device(shop: Workshop, kind: bytes) -> None:
    volume = shop.repacked(shop.build()[0], lambda e: e.append(entry("dev", kind=kind)))
    refused(shop, volume, DeviceEntry, "dev")


@pytest.mark.parametrize("which", [0, 2, 4, -1])
def test_duplicate_entry(shop: Workshop, which: int) -> None:
    volume = shop.repacked(shop.build()[0], lambda e: e.append(e[which]))
    refused(shop, volume, DuplicateEntry)


def test_missing_entry(shop: Workshop) -> None:
    refused(shop, shop.repacked(shop.build()[0], lambda e: e.pop()), MissingEntry, "blobs/sha256/")


def test_entries_in_another_order(shop: Workshop) -> None:
    def swap(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        entries[-1], entries[-2] = entries[-2], entries[-1]

    refused(shop, shop.repacked(shop.build()[0], swap), ExtraEntry)


@pytest.mark.parametrize("tail", [b"\0", b"x", bytes(512), bytes(10240)])
def test_trailing_data(shop: Workshop, tail: bytes) -> None:
    volume = shop.spoiled(shop.build()[0], lambda data: data.extend(tail))
    refused(shop, volume, TrailingData, "follows the end")


def test_header_that_tar_would_take_but_the_format_does_not(shop: Workshop) -> None:
    def change(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        entries[-1][0].mode = 0o4755

    refused(shop, shop.repacked(shop.build()[0], change), BadVolume, "not the one")


def test_not_a_volume_at_all(shop: Workshop) -> None:
    for data in (b"", b"hello", bytes(4096), b"\xff" * 4096):
        path = shop.folder / "odd.goose.tar"
        path.write_bytes(data)
        with pytest.raises(BadVolume):
            shop.import_(path)


# A trusted builder who lies, or whose key was stolen: signed, but wrong


def test_signed_path_that_leaves_the_root(shop: Workshop) -> None:
    for path in ("../../etc/passwd", "/etc/passwd", "a/../../b"):
        location = str(shop.tree / "etc/motd")
        artifact = Artifact("tree", "os", (SourceFile(path, 8, 0o644, location),))
        volume = shop.build(artifacts=[artifact], out=f"out{digests.of(path.encode())[7:]}")[0]
        refused(shop, volume, paths.PathEscapes, path)


def test_signed_title_that_leaves_the_root(shop: Workshop) -> None:
    artifact = tree.expand(shop.tree, "../os")
    refused(shop, shop.build(artifacts=[artifact])[0], paths.PathEscapes, "../os")


def test_signed_totals_that_are_not_true(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    original = statement.Statement.encode

    def lie(self: statement.Statement) -> bytes:
        return original(self).replace(b'"files":6', b'"files":5')

    monkeypatch.setattr(statement.Statement, "encode", lie)
    volume = shop.build()[0]
    monkeypatch.undo()
    refused(shop, volume, verify.InconsistentBundle, "totals")


def test_signed_path_that_is_served_twice(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_refuse_conflicts", lambda artifacts: None)
    inner = Artifact(
        "file", "os/etc/motd", (SourceFile("motd", 8, 0o644, str(shop.tree / "etc/motd")),)
    )
    volume = shop.build(artifacts=[tree.expand(shop.tree, "os"), inner])[0]
    refused(shop, volume, verify.InconsistentBundle, "os/etc/motd")


def test_index_that_does_not_follow_from_the_bundle(shop: Workshop) -> None:
    def change(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        info, data = entries[1]
        entries[1] = (info, data.replace(b"1.0.0", b"6.6.6"))

    refused(shop, shop.repacked(shop.build()[0], change), paths.BadLayout, "does not follow")


def test_volume_that_claims_another_number(shop: Workshop) -> None:
    volumes = shop.build(volume_size=300_000)
    assert len(volumes) > 1

    def change(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        info, data = entries[1]
        entries[1] = (info, data.replace(b'"1/', b'"2/'))

    with pytest.raises(BadVolume):
        shop.import_(shop.repacked(volumes[0], change))


# What a site does not accept


def test_rollback_to_an_older_bundle(shop: Workshop) -> None:
    old = shop.build(shop.draft(version="1.0.0", sequence=1), out="old")[0]
    new = shop.build(shop.draft(version="2.0.0", sequence=2), out="new")[0]
    shop.import_(new)
    with pytest.raises(policy.RollbackRefused, match="already had 2"):
        shop.import_(old)
    assert shop.store.refs().current("base").version == "2.0.0"
    done = shop.import_(old, allow=["rollback-refused"])
    assert done.overruled == ("rollback-refused",)
    ref = shop.store.refs().current("base")
    assert (ref.version, ref.overruled) == ("1.0.0", ("rollback-refused",))
    assert shop.store.refs().sequences["base"] == 2, "the highest sequence is not forgotten"


def test_bundle_for_another_site(shop: Workshop) -> None:
    volume = shop.build(shop.draft(audience=("site-a", "site-b")))[0]
    with pytest.raises(policy.WrongAudience, match="this site is site-c"):
        shop.import_(volume, site="site-c")
    with pytest.raises(policy.WrongAudience, match="no id"):
        shop.import_(volume)
    assert shop.import_(volume, site="site-b").state == "complete"


def test_rollback_behind_a_faster_import_is_recorded(shop: Workshop) -> None:
    """What had to be overruled is what the refs say at the switch, not when the volumes were
    opened."""
    old = shop.build(out="old")
    shop.import_(*shop.build(shop.draft(version="2.0.0", sequence=2), out="new"))
    unseen = policy.Policy(NOW, sequences={})
    with pytest.raises(policy.RollbackRefused):
        import_volumes(old, shop.store, shop.root, unseen, SILENT)
    allowed = replace(unseen, allow=frozenset(["rollback-refused"]))
    done = import_volumes(old, shop.store, shop.root, allowed, SILENT)
    assert done.overruled == ("rollback-refused",)
    assert shop.store.refs().current("base").overruled == ("rollback-refused",)


def test_expired_bundle(shop: Workshop) -> None:
    volume = shop.build(shop.draft(expires=statement.format_time(NOW)))[0]
    refused(shop, volume, policy.Expired, "expired at 2026-11-24")


def test_newer_format(shop: Workshop) -> None:
    refused(shop, shop.build(shop.draft(reader=2))[0], statement.ReaderTooOld, "format 2")


def test_other_content_under_a_known_version(shop: Workshop) -> None:
    shop.import_(shop.build()[0])
    (shop.tree / "etc/motd").write_bytes(b"changed\n")
    with pytest.raises(VersionTaken):
        shop.import_(shop.build(out="again")[0])
    assert Catalog(shop.store).find("base", None, "extra/motd").digest == digests.of(b"welcome\n")


def test_volumes_of_two_bundles_in_one_call(shop: Workshop) -> None:
    one = shop.build(out="one")[0]
    two = shop.build(shop.draft(name="other"), out="two")[0]
    with pytest.raises(MixedVolumes):
        shop.import_(one, two)


def test_path_without_volumes(shop: Workshop, tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path / "keys"):
        with pytest.raises(NoVolumes, match=path.name):
            shop.import_(path)


# A full disk, for real: a file system of 1 MiB


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
    )
    if made.returncode:
        pytest.skip("mounting a small file system needs root: run as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_is_seen_before_the_first_byte(shop: Workshop, small_disk: Path) -> None:
    (shop.tree / "lib/huge.bin").write_bytes(bytes(2 << 20))
    volume = shop.build()[0]
    with pytest.raises(StoreFull, match=r"needs \d+ bytes, \d+ are free"):
        _with_store(shop, small_disk).import_(volume)
    assert not list((small_disk / "store").rglob("blobs/sha256/*"))


def test_disk_that_fills_during_the_import(
    shop: Workshop, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = _with_store(shop, small_disk)
    first = shop.build()[0]
    shop.import_(first)
    (shop.tree / "lib/huge.bin").write_bytes(bytes(range(256)) * 8192)
    volume = shop.build(shop.draft(version="2.0.0", sequence=2), out="second")[0]
    # Another process takes the space after the preflight has looked.
    monkeypatch.setattr(type(shop.store), "free", lambda self: None)
    with pytest.raises(StoreFull) as caught:
        shop.import_(volume)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    refs = shop.store.refs()
    assert [ref.version for ref in refs.bundles] == ["1.0.0"]
    for file in Catalog(shop.store).list("base", None):
        data = b"".join(shop.store.read(part.digest, part.size) for part in file.parts)
        assert digests.of(data) == file.digest


def test_build_on_a_full_disk_leaves_nothing(shop: Workshop, small_disk: Path) -> None:
    (shop.tree / "lib/huge.bin").write_bytes(bytes(range(256)) * 8192)
    with pytest.raises(OutputFailed, match="no space"):
        shop.build(out=str(small_disk / "out"))
    assert list((small_disk / "out").iterdir()) == []


def _with_store(shop: Workshop, folder: Path) -> Workshop:
    shop.store = open_store(folder / "store")
    return shop


# Media and stores as they are found


def test_fifo_named_like_a_volume(shop: Workshop) -> None:
    folder = shop.folder / "media"
    folder.mkdir()
    os.mkfifo(folder / "x.goose.tar")
    with pytest.raises(NoVolumes, match="not a regular file"):
        shop.import_(folder)


def test_hidden_files_and_lists_beside_volumes_are_passed_over(shop: Workshop) -> None:
    volume = shop.build()[0]
    volume.with_name("._" + volume.name).write_bytes(b"")
    assert shop.import_(*sorted(volume.parent.glob("*")), volume.parent).state == "complete"


def test_name_of_a_volume_cannot_fake_a_line(shop: Workshop) -> None:
    odd = shop.folder / "x\nsigned by release: good\n.goose.tar"
    odd.write_bytes(b"no volume")
    with pytest.raises(BadVolume) as caught:
        shop.import_(odd)
    assert "\n" not in caught.value.message


def test_blob_cut_short_in_the_store_is_mended_by_the_next_import(shop: Workshop) -> None:
    volume = shop.build()[0]
    shop.import_(volume)
    digest = digests.of(b"welcome\n")
    os.truncate(shop.store.path(digest), 3)
    assert shop.import_(volume).bytes_written == 8
    assert shop.store.read(digest, 8) == b"welcome\n"


def test_store_without_its_refs_is_not_taken_for_a_new_one(shop: Workshop) -> None:
    """Or the highest sequences would be forgotten, and with them the rollback protection."""
    shop.import_(shop.build(out="one")[0])
    shop.import_(shop.build(shop.draft(version="2.0.0", sequence=2), out="two")[0])
    index = shop.store.folder / "index.json"
    index.unlink()
    with pytest.raises(BadRefs, match="missing") as caught:
        shop.store.refs()
    assert "index.json.previous" in caught.value.hint
    index.with_name("index.json.previous").rename(index)
    assert [ref.version for ref in shop.store.refs().bundles] == ["1.0.0"]
    assert shop.store.refs().sequences == {"base": 1}


def test_refused_import_leaves_no_staging(shop: Workshop, small_disk: Path) -> None:
    (shop.tree / "lib/huge.bin").write_bytes(bytes(2 << 20))
    volume = shop.build()[0]
    with pytest.raises(StoreFull):
        _with_store(shop, small_disk).import_(volume)
    assert not (small_disk / "store/staging").exists()


def test_path_that_is_a_file_and_a_folder(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    location = str(shop.tree / "etc/motd")
    both = [
        Artifact("file", "t", (SourceFile("t", 8, 0o644, location),)),
        Artifact("file", "t/b", (SourceFile("b", 8, 0o644, location),)),
    ]
    with pytest.raises(plan.ContentConflict, match="a file and a folder"):
        shop.build(artifacts=both)
    monkeypatch.setattr(plan, "_refuse_conflicts", lambda artifacts: None)
    refused(shop, shop.build(artifacts=both)[0], verify.InconsistentBundle, "file and a folder")


def test_second_build_into_the_same_folder_meanwhile(shop: Workshop) -> None:
    out = shop.folder / "out"
    out.mkdir()
    held = os.open(out, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with pytest.raises(OutputBusy, match="another build"):
            shop.build()
    finally:
        os.close(held)
    assert shop.build()


def test_signatures_of_an_earlier_build_are_not_left_beside_a_new_one(shop: Workshop) -> None:
    volume, *_ = shop.build(signers=[shop.signer, shop.signer])
    volume.unlink()
    with pytest.raises(OutputExists, match=r"volumes\.json"):
        shop.build()
