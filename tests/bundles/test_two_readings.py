"""A build reads its content twice. What it seals and signs is what it hashed, or nothing is."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.making import build
from bundles.making.fingerprint import Fingerprint
from bundles.making.gather import CHUNK
from bundles.making.plan import Plan
from bundles.progress import SILENT
from bundles.sealing import seal
from bundles.signing import agekey, sshsig
from bundles.sources import tree
from bundles.sources.artifact import SourceFault
from tests.bundles.making import Workshop

Change = Callable[[Path], None]


class Between:
    """Changes the input once all of it was hashed, before any of it is written."""

    def __init__(self, change: Callable[[], None]) -> None:
        self._change = change
        self.stages = list[str]()

    def __getattr__(self, name: str) -> object:
        return getattr(SILENT, name)

    def start(self, stage: str, _total: int | None) -> None:
        self.stages.append(stage)
        if stage == "building":
            self._change()


def flipped(path: Path, at: int) -> None:
    """One bit is another; the length and the times are what they were."""
    was = path.stat()
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


CHANGES: dict[str, tuple[str, Change]] = {
    "bit of a small file": ("small", lambda path: flipped(path, 500)),
    "bit of a large file's first chunk": ("large", lambda path: flipped(path, 0)),
    "bit of a large file's last chunk": ("large", lambda path: flipped(path, 2 * CHUNK + 9)),
    "bit of a file in parts": ("parts", lambda path: flipped(path, 17 * 1024 * 1024)),
    "small file cut": ("small", lambda path: os.truncate(path, 999)),
    "large file cut": ("large", lambda path: os.truncate(path, CHUNK)),
    "small file longer": ("small", lambda path: os.truncate(path, 1001)),
    "large file longer": ("large", lambda path: os.truncate(path, 2 * CHUNK + 11)),
    "file gone": ("small", lambda path: path.unlink()),
    "another file in its place": ("large", lambda path: path.write_bytes(bytes(2 * CHUNK + 10))),
}


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    shop = Workshop(tmp_path)
    (shop.tree / "small").write_bytes(os.urandom(1000))
    (shop.tree / "large").write_bytes(os.urandom(2 * CHUNK + 10))
    with open(shop.tree / "parts", "wb") as file:
        file.truncate(20 * 1024 * 1024)
    return shop


@pytest.mark.parametrize("sealed", [False, True], ids=["open", "sealed"])
@pytest.mark.parametrize("name", CHANGES)
def test_input_swapped_between_hashing_and_writing(shop: Workshop, name: str, sealed: bool) -> None:
    file, change = CHANGES[name]
    between = Between(lambda: change(shop.tree / file))
    _, public, _ = agekey.generate(shop.folder / "keys", "site-a")
    recipients = [seal.recipient(str(public))] if sealed else []
    plan = Plan(
        [tree.expand(shop.tree, "os")],
        shop.draft(),
        [sshsig.signature_length(shop.signer.public, sshsig.BUNDLE)],
        volume_size=32 * 1024 * 1024,
    )
    with pytest.raises(SourceFault) as caught:
        build.build(plan, [shop.signer], shop.folder / "out", between, recipients)
    assert caught.value.details["file"] == str(shop.tree / file)
    assert "changed while the bundle was built" in str(caught.value) or name == "file gone"
    assert between.stages == ["hashing", "building"]
    assert list((shop.folder / "out").iterdir()) == []


def test_fault_in_the_first_reading_stops_the_others(shop: Workshop) -> None:
    """One file of many is unreadable: nothing waits until the large ones behind it are hashed."""
    for number in range(40):
        with open(shop.tree / f"z{number}", "wb") as file:
            file.truncate(64 * 1024 * 1024)
    read = list[int]()

    class Counting(Between):
        def advance(self, count: int, _item: str | None = None) -> None:
            read.append(count)

    plan = Plan([tree.expand(shop.tree, "os")], shop.draft(), [200])
    (shop.tree / "small").unlink()
    with pytest.raises(SourceFault):
        build.build(plan, [shop.signer], shop.folder / "out", Counting(lambda: None))
    assert sum(read) < plan.statement.totals.bytes // 2
    assert threading.active_count() < 20


@given(st.binary(min_size=1, max_size=4096), st.data())
def test_fingerprint_tells_any_change(data: bytes, drawn: st.DataObject) -> None:
    prints = Fingerprint()
    at = drawn.draw(st.integers(0, len(data) * 8 - 1))
    other = bytearray(data)
    other[at // 8] ^= 1 << at % 8
    assert prints.of(data) == prints.of(memoryview(data))
    assert (
        len({prints.of(data), prints.of(other), prints.of(data + b"\0"), prints.of(data[1:])}) == 4
    )


def test_fingerprints_of_two_builds_say_nothing_of_each_other() -> None:
    """Who has read one cannot make a file for the next."""
    assert Fingerprint().of(b"a") != Fingerprint().of(b"a")
