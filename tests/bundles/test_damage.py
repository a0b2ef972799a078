"""Damaged media: every bad entry is named with its ranges, and all that is good is kept."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bundles.errors import GooseError
from bundles.format import layout, repair_request
from bundles.format.content import Content
from bundles.format.repair_request import RepairRequest
from bundles.format.volume import BLOCK, BadVolume, Reader, TruncatedVolume
from bundles.progress import SILENT
from bundles.reading.faults import DamagedVolumes
from bundles.reading.head import read_head
from bundles.reading.scan import DamagedBlob
from bundles.reading.verify import TrustedHead
from bundles.signing.policy import Policy
from bundles.site.check import Checked, check_volumes
from bundles.site.ingest import import_volumes
from tests.bundles.content import artifact, lay_out, noise, served, take
from tests.bundles.making import NOW, Workshop

PART = 300_000
CONTENT = {
    "a/small": (b"small\n", 0o644),
    "b/other": (b"other\n", 0o755),
    "big.iso": (noise("big", 2 * PART + 1000), 0o644),
    "middle": (noise("middle", 100_000), 0o644),
    "z/large": (noise("large", PART), 0o644),
}


class Media:
    """A bundle of `CONTENT` whose `big.iso` has three parts, and tools to damage it."""

    def __init__(self, folder: Path) -> None:
        self.shop = Workshop(folder)
        source = artifact(lay_out(folder / "content", CONTENT), "os")
        [self.volume] = self.shop.build(artifacts=[source])
        with tarfile.open(self.volume) as archive:
            self.entries = {info.name: info for info in archive}

    def at(self, path: str) -> tarfile.TarInfo:
        """The entry that holds the layer titled `path`."""
        [digest] = [c.digest for c in self.contents() if c.layer.title == path]
        return self.entries[f"blobs/sha256/{digest[7:]}"]

    def contents(self) -> list[Content]:
        found = self.checked(self.volume)
        assert found.faults == ()
        with open(self.volume, "rb") as file:
            head = TrustedHead(self.shop.root, Policy(NOW), "it")
            read_head(Reader(io.BytesIO(file.read()), "it"), head)
        return head.contents

    def damaged(self, *changes: Callable[[bytearray], None]) -> Path:
        """A copy with several changes."""
        return self.shop.spoiled(self.volume, lambda data: [c(data) for c in changes] and None)

    def checked(self, *volumes: Path) -> Checked:
        return check_volumes(volumes, self.shop.root, Policy(NOW), SILENT)


def flip(at: int) -> Callable[[bytearray], None]:
    """Changes the byte at `at`."""

    def change(data: bytearray) -> None:
        data[at] ^= 0x55

    return change


def zero(start: int, count: int) -> Callable[[bytearray], None]:
    """What a bad sector may read as."""

    def change(data: bytearray) -> None:
        data[start : start + count] = bytes(count)

    return change


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Media:
    monkeypatch.setattr(layout, "MAX_PART", PART)
    return Media(tmp_path)


def test_every_bad_blob_is_named_with_its_ranges(media: Media) -> None:
    small, second = media.at("b/other"), media.at("big.iso.part-00002")
    copy = media.damaged(flip(small.offset_data), flip(second.offset_data + PART - 1))
    faults = media.checked(copy).faults
    assert [(type(f), f.details) for f in faults] == [
        (
            DamagedBlob,
            {
                "volume": "spoiled.goose.tar",
                "entry": "os/b/other",
                "path": "os/b/other",
                "digest": f"sha256:{small.name[-64:]}",
                "offset": small.offset_data,
                "length": small.size,
            },
        ),
        (
            DamagedBlob,
            {
                "volume": "spoiled.goose.tar",
                "entry": "os/big.iso.part-00002",
                "path": "os/big.iso",
                "digest": f"sha256:{second.name[-64:]}",
                "offset": second.offset_data,
                "length": PART,
                "file_offset": PART,
            },
        ),
    ]
    assert faults[1].message == (
        f"spoiled.goose.tar: os/big.iso is damaged in bytes {PART} to {2 * PART - 1}:"
        f" {PART} bytes at {second.offset_data} of the volume do not hash to"
        f" sha256:{second.name[-64:]}"
    )


def test_the_ranges_are_those_of_the_bytes(media: Media) -> None:
    third = media.at("big.iso.part-00003")
    [fault] = media.checked(media.damaged(flip(third.offset_data + 5))).faults
    start, length = fault.details["offset"], fault.details["length"]
    within = fault.details["file_offset"]
    data = media.volume.read_bytes()[start : start + length]
    assert data == CONTENT["big.iso"][0][within : within + length]


@pytest.mark.parametrize("path", ["b/other", "big.iso.part-00001", "z/large"])
@pytest.mark.parametrize("change", [flip, lambda at: zero(at, BLOCK)], ids=["flipped", "zeroed"])
def test_a_damaged_header_does_not_hide_what_follows(
    media: Media, path: str, change: Callable[[int], Callable[[bytearray], None]]
) -> None:
    entry, last = media.at(path), media.at("z/large")
    copy = media.damaged(change(entry.offset + 10 * (change is flip)), flip(last.offset_data))
    first, second = media.checked(copy).faults
    assert "the header of os/" in first.message
    assert (first.code, first.details["offset"]) == ("bad-volume", entry.offset)
    assert (second.code, second.details["path"]) == ("damaged-blob", "os/z/large")


def test_damaged_padding_does_not_hide_what_follows(media: Media) -> None:
    for path in ("b/other", "middle", "big.iso.part-00003"):
        entry, last = media.at(path), media.at("z/large")
        copy = media.damaged(flip(entry.offset_data + entry.size), flip(last.offset_data))
        first, second = media.checked(copy).faults
        assert "the padding after os/" in first.message
        assert second.details["path"] == "os/z/large"


def test_many_faults_are_one_refusal_that_names_them(media: Media) -> None:
    names = ("a/small", "b/other", "middle")
    copy = media.damaged(*(flip(media.at(name).offset_data) for name in names))
    with pytest.raises(DamagedVolumes) as caught:
        media.checked(copy).raise_faults()
    assert all(f"os/{name} is damaged" in caught.value.message for name in names)
    assert [f["path"] for f in caught.value.details["faults"]] == [f"os/{n}" for n in names]


def test_more_faults_than_a_person_reads_are_counted(media: Media) -> None:
    content = {f"{n:02}": (b"%d" % n, 0o644) for n in range(30)}
    source = artifact(lay_out(media.shop.folder / "many", content), "many")
    draft = media.shop.draft(name="many")
    [media.volume] = media.shop.build(draft, [source], out="many-out")
    with tarfile.open(media.volume) as archive:
        infos = [i for i in archive if i.size in (1, 2) and i.name.startswith("blobs")]
    copy = media.damaged(*(flip(info.offset_data) for info in infos[-30:]))
    with pytest.raises(DamagedVolumes) as caught:
        media.checked(copy).raise_faults()
    assert caught.value.message.endswith("and 10 more, which --json lists")
    assert len(caught.value.details["faults"]) == 30


def test_the_request_asks_for_what_is_bad_and_no_more(media: Media) -> None:
    bad = [media.at("b/other"), media.at("big.iso.part-00002")]
    checked = media.checked(media.damaged(*(flip(entry.offset_data) for entry in bad)))
    request = repair_request.read(replace(checked.request(), site="site-a").encode(), "it")
    assert (request.name, request.version, request.site) == ("base", "1.0.0", "site-a")
    assert request.root == checked.statement.root
    assert request.documents == ()
    assert {(w.digest, w.size) for w in request.layers} == {
        (f"sha256:{entry.name[-64:]}", entry.size) for entry in bad
    }


def test_a_truncated_volume_lacks_what_came_after_its_end(media: Media) -> None:
    cut = media.at("big.iso.part-00003").offset_data
    copy = media.shop.spoiled(media.volume, lambda data: data.__delitem__(slice(cut, None)))
    checked = media.checked(copy)
    [fault] = checked.faults
    assert type(fault) is TruncatedVolume
    titles = [content.layer.title for content in checked.bad]
    assert titles == ["big.iso.part-00003", "middle", "z/large"]


def refused(media: Media, *volumes: Path) -> tuple[GooseError, RepairRequest]:
    """Imports volumes that are damaged: the refusal, and what to ask for."""
    asked = []
    with pytest.raises(GooseError) as caught:
        import_volumes(
            volumes,
            media.shop.store,
            media.shop.root,
            Policy(NOW),
            SILENT,
            ask=asked.append,
        )
    [request] = asked
    return caught.value, request


def test_an_import_keeps_what_is_good_of_a_damaged_volume(media: Media) -> None:
    bad = [media.at("b/other"), media.at("big.iso.part-00002")]
    copy = media.damaged(*(flip(entry.offset_data) for entry in bad))
    error, request = refused(media, copy)
    assert type(error) is DamagedVolumes
    assert media.shop.store.refs().bundles == ()
    lacking = {f"sha256:{entry.name[-64:]}" for entry in bad}
    assert {w.digest for w in request.layers} == lacking
    for content in media.contents():
        assert media.shop.store.has(content.digest) == (content.digest not in lacking)
    done = take(media.shop, media.shop.folder / "store", media.volume)
    assert done.state == "complete"
    documents = len(media.volume.read_bytes()) - sum(len(d) for d, _ in CONTENT.values())
    assert done.bytes_written < sum(entry.size for entry in bad) + documents
    store = media.shop.store
    assert served(store) == {f"os/{path}": file for path, file in CONTENT.items()}


def test_damage_to_one_volume_does_not_keep_others_out(media: Media) -> None:
    volumes = media.shop.build(
        media.shop.draft(version="2.0.0"),
        [artifact(media.shop.folder / "content", "os")],
        volume_size=800_000,
        out="split",
    )
    assert len(volumes) == 2
    with tarfile.open(volumes[0]) as archive:
        first = list(archive)[-1]
    copy = media.shop.spoiled(volumes[0], flip(first.offset_data))
    error, request = refused(media, copy, volumes[1])
    assert type(error) is DamagedBlob
    assert [w.digest for w in request.layers] == [f"sha256:{first.name[-64:]}"]


def test_damage_that_spares_every_layer_asks_for_none(media: Media) -> None:
    end = media.volume.stat().st_size
    error, request = refused(media, media.damaged(flip(end - 700)))
    assert isinstance(error, BadVolume)
    assert request.layers == ()
    assert media.shop.store.refs().bundles == ()
