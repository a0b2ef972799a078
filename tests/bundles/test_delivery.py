"""What lies on media: sorted by bundle, and compared with the signed list before it is read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest

from bundles.errors import GooseError
from bundles.progress import SILENT
from bundles.reading import delivery, tally, transit, volumelist
from bundles.reading.delivery import Delivery
from bundles.reading.media import NoVolumes
from bundles.reading.tally import Tally
from bundles.reading.transit import Passed
from bundles.reading.volumelist import UnsignedVolumeList
from bundles.sealing import identity, seal
from bundles.sealing.agefile import Unwrapper
from bundles.sealing.unseal import IdentityNeeded
from bundles.signing import agekey, policy, sshsig, trust
from bundles.site import check, ingest
from tests.bundles.content import noise
from tests.bundles.making import NOW, Workshop
from tests.bundles.signing import signer


class Yard:
    """A workshop, its media of three volumes, and a station that checks them."""

    def __init__(self, folder: Path) -> None:
        self.shop = Workshop(folder)
        for number in range(3):
            (self.shop.tree / f"lib/{number}").write_bytes(noise(str(number), 400_000))
        self.media = folder / "media"
        self.secret, _, recipient = agekey.generate(folder, "site")
        self.recipient, self.identities = seal.recipient(recipient), identity.read(self.secret)

    def build(self, out: str = "media", *, sealed: bool = False, **fields: object) -> list[Path]:
        recipients = [self.recipient] if sealed else []
        draft = self.shop.draft(**fields)
        paths = self.shop.build(draft, volume_size=900_000, out=out, recipients=recipients)
        assert len(paths) == 3
        return paths

    def opened(self, path: Path) -> bytes:
        """What `age -d` makes of a sealed volume."""
        word = self.secret.read_text().splitlines()[-1]
        return bytes(pyrage.decrypt(path.read_bytes(), [pyrage.x25519.Identity.from_str(word)]))

    def sort(self, *paths: Path, identities: Sequence[Unwrapper] = ()) -> list[Delivery]:
        return delivery.sort_out(paths or [self.media], identities)

    def take(self, *paths: Path, identities: Sequence[Unwrapper] = ()) -> Tally:
        (only,) = self.sort(*paths, identities=identities)
        return tally.take(only, self.shop.root, NOW)

    def check(self, *paths: Path, identities: Sequence[Unwrapper] = ()) -> check.Checked:
        (only,) = self.sort(*paths, identities=identities)
        found = tally.take(only, self.shop.root, NOW)
        rules = policy.Policy(NOW)
        return check.check_volumes(
            only.paths, self.shop.root, rules, SILENT, identities, tally=found
        )

    def pass_(self, *paths: Path) -> Passed:
        """Checks sealed volumes without an identity."""
        (only,) = self.sort(*paths)
        found = tally.take(only, self.shop.root, NOW)
        return transit.check(only.volumes, found, tally.require_list(found, only), SILENT)


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def codes(faults: Sequence[GooseError]) -> list[str]:
    return [fault.code for fault in faults]


def test_whole_media(yard: Yard) -> None:
    yard.build()
    found = yard.take()
    assert (found.remarks, found.missing, found.faults) == ([], [], [])
    assert (found.signers, len(found.expected)) == (("release",), 3)
    assert yard.check().faults == ()


def test_missing_volume_is_named_by_its_file(yard: Yard) -> None:
    first, second, third = yard.build()
    second.unlink()
    assert yard.take().missing == ["base-1.0.0.2of3.goose.tar"]
    assert yard.take(first).missing == [second.name, third.name]


def test_missing_volume_is_named_without_a_list_too(yard: Yard) -> None:
    _, second, _ = yard.build()
    (yard.media / "base-1.0.0.volumes.json").unlink()
    second.unlink()
    found = yard.take()
    assert (found.remarks, found.missing) == (["no-volume-list"], [second.name])


def test_volume_cut_short_is_seen_before_it_is_read(yard: Yard) -> None:
    _, second, _ = yard.build()
    os.truncate(second, second.stat().st_size - 1)
    (fault,) = yard.take().faults
    assert (fault.code, fault.details["volume"]) == ("damaged-volume", second.name)
    assert "cut short" in fault.message


def test_sealed_volume_cut_short_is_seen_with_no_identity(yard: Yard) -> None:
    _, second, _ = yard.build(sealed=True)
    os.truncate(second, 1000)
    (fault,) = yard.take().faults
    assert (fault.code, fault.details["volume"]) == ("damaged-volume", second.name)


def test_volume_of_another_build_of_the_same_version(yard: Yard) -> None:
    _, second, _ = yard.build()
    (yard.shop.tree / "lib/1").write_bytes(noise("other", 400_000))
    stale = yard.build("stale")[1]
    shutil.copy(stale, second)
    good, foreign = yard.sort()
    assert [c.path.name for c in good.volumes] == [
        "base-1.0.0.1of3.goose.tar",
        "base-1.0.0.3of3.goose.tar",
    ]
    found = tally.take(good, yard.shop.root, NOW)
    assert (codes(found.faults), found.missing) == (["foreign-volume"], [])
    found = tally.take(foreign, yard.shop.root, NOW)
    assert codes(found.faults) == ["foreign-volume"]
    assert "its statement is another one" in found.faults[0].message


def test_volume_of_another_bundle_under_a_listed_name(yard: Yard) -> None:
    _, second, _ = yard.build()
    other = yard.build("other", name="other", version="2.0")[0]
    shutil.copy(other, second)
    base, stray = yard.sort()
    assert (base.label, stray.label) == ("base 1.0.0", "other 2.0")
    (fault,) = tally.take(base, yard.shop.root, NOW).faults
    assert (
        fault.message
        == "base-1.0.0.2of3.goose.tar is not of base 1.0.0: it holds volume 1 of other 2.0"
    )


@pytest.mark.parametrize("given", ["folder", "file"])
def test_another_bundle_in_the_place_of_all_that_the_list_names(yard: Yard, given: str) -> None:
    """Also where nothing of what the list is about is left to compare with."""
    first, *others = yard.build()
    for path in others:
        path.unlink()
    other = yard.build("other", name="other", version="2.0")[0]
    shutil.copy(other, first)
    found, base = yard.sort(yard.media if given == "folder" else first)
    assert (base.label, base.volumes, found.label) == ("base 1.0.0", [], "other 2.0")
    with pytest.raises(tally.ForeignVolume, match=r"is not of base 1\.0\.0: it holds volume 1"):
        tally.take(base, yard.shop.root, NOW)
    assert tally.take(found, yard.shop.root, NOW).faults == []


def test_a_list_left_over_from_another_build_of_the_version_is_no_matter(yard: Yard) -> None:
    yard.build("other", created="2026-11-24T12:00:00Z")
    for path in yard.shop.folder.glob("other/*.tar"):
        path.unlink()
    yard.build()
    (only,) = yard.sort(yard.media, yard.shop.folder / "other")
    assert yard.take().faults == [] and len(only.volumes) == 3


def test_sealed_file_that_the_list_does_not_name(yard: Yard) -> None:
    first, *_ = yard.build(sealed=True)
    stray = first.with_name("base-1.0.0.4of4.goose.tar.age")
    stray.write_bytes(first.read_bytes() + b"!")
    (fault,) = yard.take().faults
    assert (fault.code, fault.details["volume"]) == ("foreign-volume", stray.name)


@pytest.mark.parametrize("opened", [False, True])
def test_renamed_volumes_are_found_by_what_they_hold(yard: Yard, opened: bool) -> None:
    first, second, third = yard.build(sealed=opened)
    identities = yard.identities if opened else ()
    first.rename(first.with_name("swap"))
    second.rename(first)
    first.with_name("swap").rename(second)  # the first two bear each other's names
    third.rename(third.with_name("VOLUME3.BIN"))
    found = yard.take(identities=identities)
    assert (found.faults, found.missing) == ([], [])
    checked = yard.check(identities=identities)
    assert (checked.faults, checked.missing) == ((), ())


def test_renamed_sealed_volumes_are_found_by_their_digests(yard: Yard) -> None:
    first, second, third = yard.build(sealed=True)
    for number, path in enumerate((first, second, third)):
        path.rename(path.with_name(f"DISC{number}.AGE"))
    passed = yard.pass_()
    assert (passed.volumes, passed.faults) == ((1, 2, 3), ())


def test_sealed_volumes_are_checked_with_no_identity(yard: Yard) -> None:
    paths = yard.build(sealed=True)
    passed = yard.pass_()
    assert (passed.volumes, passed.faults) == ((1, 2, 3), ())
    assert passed.bytes_read == sum(path.stat().st_size for path in paths)


def test_flipped_byte_in_a_sealed_volume_is_seen_with_no_identity(yard: Yard) -> None:
    _, second, _ = yard.build(sealed=True)
    data = bytearray(second.read_bytes())
    data[len(data) // 2] ^= 1
    second.write_bytes(data)
    passed = yard.pass_()
    assert (passed.volumes, codes(passed.faults)) == ((1, 3), ["damaged-volume"])
    assert second.name in passed.faults[0].message


def test_sealed_again_by_a_stranger(yard: Yard) -> None:
    """Anyone can seal to a public recipient; what was signed is the file that was sent."""
    _, second, _ = yard.build(sealed=True)
    plain = yard.opened(second)
    second.write_bytes(pyrage.encrypt(plain, [yard.recipient]))
    assert codes(yard.pass_().faults) == ["damaged-volume"]
    checked = yard.check(identities=yard.identities)
    assert (codes(checked.faults), checked.bad) == (["damaged-volume"], ())


def test_opened_volumes_still_can_be_used(yard: Yard) -> None:
    for path in yard.build(sealed=True):
        plain = yard.opened(path)
        path.with_suffix("").write_bytes(plain)
        path.unlink()
    found = yard.take()
    assert (found.remarks, found.faults, found.missing) == (["volume-not-as-listed"], [], [])
    assert yard.check().faults == ()


def test_changed_head_that_readers_allow_is_not_the_listed_file(yard: Yard) -> None:
    """The time in tar headers is in no digest of the statement; in the list's it is."""
    first, *_ = yard.build()
    from tests.bundles.making import pack, read_entries

    entries = read_entries(first)
    for info, _ in entries:
        info.mtime = 7
    first.write_bytes(pack(entries))
    assert yard.shop.check(first).faults == ()
    assert codes(yard.check().faults) == ["damaged-volume"]


def test_damage_inside_is_told_once_and_by_its_place(yard: Yard) -> None:
    first, *_ = yard.build()
    data = bytearray(first.read_bytes())
    data[-2000] ^= 1
    first.write_bytes(data)
    assert codes(yard.check().faults) == ["damaged-blob"]
    os.truncate(first, len(data) - 5000)
    assert codes(yard.check().faults) == ["truncated-volume"]


def test_verify_reads_the_media_once(yard: Yard) -> None:
    paths = yard.build()
    total = sum(path.stat().st_size for path in paths)

    def read_so_far() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    before = read_so_far()
    assert yard.check().faults == ()
    assert read_so_far() - before < 1.25 * total


def rewrite(yard: Yard, data: bytes | None = None, by: int | None = None) -> None:
    """Other bytes for the list, or other signatures for it."""
    path = yard.media / "base-1.0.0.volumes.json"
    if data is not None:
        path.write_bytes(data)
    if by is not None:
        signature = sshsig.sign(path.read_bytes(), signer(by), sshsig.VOLUMES)
        path.with_name(f"{path.name}.sig").write_bytes(signature)


def test_list_signed_by_a_stranger_is_refused(yard: Yard) -> None:
    yard.build()
    rewrite(yard, by=9)
    with pytest.raises(GooseError, match=r"base-1\.0\.0\.volumes\.json: ") as refused:
        yard.take()
    assert refused.value.code == "unknown-signer"
    assert "without the list" in refused.value.hint


def test_changed_list_is_refused(yard: Yard) -> None:
    yard.build()
    rewrite(yard, (yard.media / "base-1.0.0.volumes.json").read_bytes().replace(b"1of3", b"2of3"))
    with pytest.raises(GooseError) as refused:
        yard.take()
    assert refused.value.code == "signature-invalid"


@pytest.mark.parametrize("sealed", [False, True])
def test_unsigned_list_is_left_aside(yard: Yard, sealed: bool) -> None:
    yard.build(sealed=sealed)
    (yard.media / "base-1.0.0.volumes.json.sig").unlink()
    found = yard.take()
    assert (found.listed, found.remarks) == (None, ["unsigned-volume-list"])
    if sealed:
        with pytest.raises(UnsignedVolumeList):
            yard.pass_()


def test_sealed_volumes_without_a_list_need_an_identity(yard: Yard) -> None:
    yard.build(sealed=True)
    (yard.media / "base-1.0.0.volumes.json").unlink()
    with pytest.raises(IdentityNeeded, match="no signed list"):
        yard.pass_()


def test_list_of_another_build_contradicts_the_volumes(yard: Yard) -> None:
    yard.build()
    (yard.shop.tree / "lib/1").write_bytes(noise("other", 400_000))
    yard.build("stale")
    for name in ("base-1.0.0.volumes.json", "base-1.0.0.volumes.json.sig"):
        shutil.copy(yard.media.parent / "stale" / name, yard.media)
    found = yard.take()
    assert codes(found.faults) == ["foreign-volume"] * 3


def test_signed_list_that_counts_other_volumes(yard: Yard) -> None:
    """Its signer is trusted, and it names the right statement: still it is not its list."""
    *_, third = yard.build()
    third.unlink()
    path = yard.media / "base-1.0.0.volumes.json"
    listed = volumelist.read(path.read_bytes(), path.name)
    for number, volume in enumerate(listed.volumes[:2], 1):
        (yard.media / volume.file).rename(yard.media / f"base-1.0.0.{number}of2.goose.tar")
    names = [f"base-1.0.0.{number}of2.goose.tar" for number in (1, 2)]
    kept = zip(listed.volumes, names, strict=False)
    volumes = tuple(replace(volume, file=name) for volume, name in kept)
    path.write_bytes(replace(listed, volumes=volumes).encode())
    signature = sshsig.sign(path.read_bytes(), yard.shop.signer, sshsig.VOLUMES)
    path.with_name(f"{path.name}.sig").write_bytes(signature)
    assert codes(yard.take().faults) == ["foreign-volume"] * 2


def test_stranger_s_list_is_told_before_an_unsigned_copy(yard: Yard) -> None:
    yard.build()
    drive = yard.media.parent / "drive"
    shutil.copytree(yard.media, drive)
    (yard.media / "base-1.0.0.volumes.json.sig").unlink()
    path = drive / "base-1.0.0.volumes.json"
    signature = sshsig.sign(path.read_bytes(), signer(9), sshsig.VOLUMES)
    path.with_name(f"{path.name}.sig").write_bytes(signature)
    with pytest.raises(GooseError) as refused:
        yard.take(yard.media, drive)
    assert refused.value.code == "unknown-signer"


def test_two_builds_of_one_version_each_with_its_list(yard: Yard) -> None:
    yard.build()
    (yard.shop.tree / "lib/1").write_bytes(noise("other", 400_000))
    yard.build("rival")
    for first, second in (
        yard.sort(yard.media, yard.media.parent / "rival"),
        yard.sort(yard.media.parent / "rival", yard.media),
    ):
        assert tally.take(first, yard.shop.root, NOW).faults == []
        assert tally.take(second, yard.shop.root, NOW).faults == []


def test_signatures_of_renamed_volumes_and_from_another_folder(yard: Yard) -> None:
    """The statement's and the list's, added later: ben's, where the site asks for two."""
    paths = yard.build()
    root = trust.first([(yard.shop.signer.public, "release"), (signer(5).public, "ben")], 2)
    with ExitStack() as stack:
        message = ingest.open_volumes(paths, yard.shop.root, policy.Policy(NOW), stack)[0].head
    folder = yard.media.parent / "signatures"
    folder.mkdir()
    for name, data, namespace in (
        ("statement.json", message.message, sshsig.BUNDLE),
        ("volumes.json", (yard.media / "base-1.0.0.volumes.json").read_bytes(), sshsig.VOLUMES),
    ):
        armored = sshsig.sign(data, signer(5), namespace)
        (folder / f"base-1.0.0.{name}.ben.sig").write_bytes(armored)
    for number, path in enumerate(paths):
        path.rename(path.with_name(f"DISC{number}.GOO"))
    (only,) = yard.sort(yard.media, folder)
    found = tally.take(only, root, NOW)
    checked = check.check_volumes(only.paths, root, policy.Policy(NOW), SILENT, tally=found)
    assert (found.signers, found.faults) == (("ben", "release"), [])
    assert (checked.signers, checked.faults) == (("ben", "release"), ())


def test_a_good_copy_of_the_list_on_another_drive_counts(yard: Yard) -> None:
    first, second, third = yard.build()
    drive = yard.media.parent / "drive"
    shutil.copytree(yard.media, drive)
    for path in (first, drive / second.name, drive / third.name):
        path.unlink()
    rewrite(yard, by=9)
    found = yard.take(yard.media, drive)
    assert (found.faults, found.missing, found.signers) == ([], [], ("release",))


def test_second_signature_stands_beside_the_first(yard: Yard) -> None:
    yard.build()
    rewrite(yard, by=9)
    path = yard.media / "base-1.0.0.volumes.json"
    signature = sshsig.sign(path.read_bytes(), yard.shop.signer, sshsig.VOLUMES)
    path.with_name(f"{path.name}.sig.3").write_bytes(signature)
    assert yard.take().signers == ("release",)


def test_lists_of_other_bundles_beside_a_volume_do_not_matter(yard: Yard) -> None:
    first, *_ = yard.build()
    yard.build("media", name="other", version="2.0")
    rewrite(yard)
    (only,) = yard.sort(first)
    assert only.lists == [yard.media / "base-1.0.0.volumes.json"]


def test_several_bundles_come_in_the_order_of_their_sequence(yard: Yard) -> None:
    yard.build("media", name="base", version="1.10", sequence=10)
    yard.build("media", name="base", version="1.9", sequence=9)
    yard.build("media", name="a", version="7", sequence=99)
    assert [each.label for each in yard.sort()] == ["a 7", "base 1.9", "base 1.10"]
    assert [len(each.volumes) for each in yard.sort()] == [3, 3, 3]


def test_an_unreadable_volume_keeps_to_its_bundle_by_name(yard: Yard) -> None:
    first, *_ = yard.build()
    yard.build("media", name="other", version="2.0")
    first.write_bytes(b"")
    base, other = yard.sort()
    assert (base.label, len(base.volumes), other.label) == ("base 1.0.0", 3, "other 2.0")
    (yard.media / "base-1.0.0.volumes.json").unlink()
    assert [len(each.volumes) for each in yard.sort()] == [3, 3]


def test_a_list_alone_says_whose_volumes_are_not_here(yard: Yard) -> None:
    for path in yard.build():
        path.unlink()
    (only,) = yard.sort()
    assert (only.label, only.volumes) == ("base 1.0.0", [])


def test_a_fifo_in_place_of_a_list_keeps_nobody_waiting(yard: Yard) -> None:
    yard.build()
    path = yard.media / "base-1.0.0.volumes.json"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(NoVolumes, match="not a regular file"):
        yard.take()
