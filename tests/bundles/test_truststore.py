"""The site's trust roots on disk: pinned once, by the fingerprint that was confirmed."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bundles.format import canonical
from bundles.signing import rotation, trust, trustchain
from bundles.signing.trust import TrustRoot
from bundles.signing.trustchain import Link
from bundles.signing.trustform import BadTrustRoot
from bundles.signing.truststore import (
    NoTrustRoot,
    TrustRootExists,
    TrustStore,
    TrustUnusable,
    WrongFingerprint,
)
from tests.bundles.signing import signer

ROOT = trust.first([(signer(1).public, "anna")], 1)
OTHER = trust.first([(signer(2).public, "anna")], 1)
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def next_link(root: TrustRoot, *names: str, by: int = 1) -> Link:
    """A version after `root` that adds signers of these names, signed by signer `by`."""
    add = [(signer(ord(name[0])).public, name) for name in names]
    link = Link(rotation.successor(root, rotation.Changes(add=add)))
    return trustchain.sign(root, link, signer(by))


SECOND = next_link(ROOT, "ben")
THIRD = next_link(SECOND.root, "cleo")


@pytest.fixture
def store(tmp_path: Path) -> TrustStore:
    return TrustStore(tmp_path / "site" / "trust")


def test_no_root(store: TrustStore) -> None:
    with pytest.raises(NoTrustRoot, match="site/trust holds no trust root") as caught:
        store.root()
    assert "trust init" in caught.value.hint


def test_pinned_root_is_in_force_and_in_the_history(store: TrustStore) -> None:
    store.pin([Link(ROOT)], ROOT.fingerprint)
    assert store.root() == ROOT
    files = sorted(path for path in store.folder.rglob("*") if path.is_file())
    assert files == [store.folder / "history" / "1.trust", store.folder / "root.json"]
    assert [path.read_bytes() for path in files] == [ROOT.render() + b"\n", ROOT.render()]
    assert store.chain() == (Link(ROOT),)


def test_root_of_another_fingerprint_is_not_pinned(store: TrustStore) -> None:
    with pytest.raises(WrongFingerprint) as caught:
        store.pin([Link(OTHER)], ROOT.fingerprint)
    assert ROOT.fingerprint in caught.value.message
    assert OTHER.fingerprint in caught.value.message
    assert not store.folder.exists()


def test_second_root_is_not_pinned_over_the_first(store: TrustStore) -> None:
    store.pin([Link(ROOT)], ROOT.fingerprint)
    with pytest.raises(TrustRootExists):
        store.pin([Link(OTHER)], OTHER.fingerprint)
    assert store.root() == ROOT


def test_unreadable_root_is_not_replaced(store: TrustStore) -> None:
    store.folder.mkdir(parents=True)
    store.path.write_bytes(b"damaged")
    with pytest.raises(TrustRootExists):
        store.pin([Link(ROOT)], ROOT.fingerprint)
    assert store.path.read_bytes() == b"damaged"


def test_deleted_root_is_not_forgotten(store: TrustStore) -> None:
    """Who removes root.json does not get a site that trusts on first use again."""
    store.pin([Link(ROOT)], ROOT.fingerprint)
    store.path.unlink()
    with pytest.raises(TrustRootExists, match=r"history/1\.trust"):
        store.pin([Link(OTHER)], OTHER.fingerprint)


def spoil(data: bytes) -> bytes:
    return data.replace(b'"threshold":1', b'"threshold":0')


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda data: data[:-1], canonical.NotCanonical),
        (lambda data: b"", canonical.NotCanonical),
        (spoil, BadTrustRoot),
        (lambda data: b" " * (trust.MAX_ROOT + 1), BadTrustRoot),
    ],
    ids=["truncated", "empty", "threshold 0", "enormous"],
)
def test_changed_root_is_refused_by_its_path(
    store: TrustStore, change: Callable[[bytes], bytes], refusal: type[Exception]
) -> None:
    store.pin([Link(ROOT)], ROOT.fingerprint)
    store.path.write_bytes(change(ROOT.render()))
    with pytest.raises(refusal, match=r"site/trust/root\.json"):
        store.root()


def test_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = TrustStore(tmp_path / "file" / "trust")
    with pytest.raises(TrustUnusable, match="Not a directory"):
        store.pin([Link(ROOT)], ROOT.fingerprint)
    with pytest.raises(TrustUnusable, match="Not a directory"):
        store.root()


# Rotation


@pytest.fixture
def pinned(store: TrustStore) -> TrustStore:
    store.pin([Link(ROOT)], ROOT.fingerprint)
    return store


def test_the_chain_is_kept(pinned: TrustStore) -> None:
    assert pinned.advance([SECOND], NOW, "f") == (SECOND,)
    assert pinned.advance([Link(ROOT), SECOND, THIRD], NOW, "f") == (THIRD,)
    assert pinned.root() == THIRD.root
    assert pinned.chain() == (Link(ROOT), SECOND, THIRD)


def test_the_same_again_changes_nothing(pinned: TrustStore) -> None:
    pinned.advance([SECOND], NOW, "f")
    before = {path: path.stat().st_mtime_ns for path in pinned.folder.rglob("*")}
    assert pinned.advance([Link(ROOT), SECOND], NOW, "f") == ()
    assert {path: path.stat().st_mtime_ns for path in pinned.folder.rglob("*")} == before


def test_refused_root_leaves_no_trace(pinned: TrustStore) -> None:
    unsigned = Link(SECOND.root)
    before = sorted(pinned.folder.rglob("*"))
    with pytest.raises(trust.TooFewSignatures):
        pinned.advance([unsigned], NOW, "f")
    assert sorted(pinned.folder.rglob("*")) == before
    assert pinned.root() == ROOT


def test_site_without_a_root_rotates_to_none(store: TrustStore) -> None:
    with pytest.raises(NoTrustRoot):
        store.advance([SECOND], NOW, "f")
    assert not store.folder.exists()


def test_a_rotation_that_dies_at_any_step(
    pinned: TrustStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each write, sync and rename: the old root or the new one is in force, and the same call
    completes."""
    step = 0
    while True:
        left = step

        def dies(call: Callable[..., object]) -> Callable[..., object]:
            def counted(*args: object, **named: object) -> object:
                nonlocal left
                if left == 0:
                    raise KeyboardInterrupt
                left -= 1
                return call(*args, **named)

            return counted

        with monkeypatch.context() as patched:
            for name in ("write", "fsync", "replace"):
                patched.setattr(os, name, dies(getattr(os, name)))
            try:
                pinned.advance([SECOND, THIRD], NOW, "f")
            except KeyboardInterrupt:
                assert pinned.root() in (ROOT, THIRD.root)
                chain = pinned.chain()
                assert chain[-1].root == pinned.root()
                step += 1
                continue
        break
    assert step >= 9
    assert pinned.chain() == (Link(ROOT), SECOND, THIRD)
    assert not list(pinned.folder.rglob(".*.tmp"))


def test_what_an_interrupted_rotation_left_gives_way_to_another(pinned: TrustStore) -> None:
    (pinned.folder / "history" / "2.trust").write_bytes(SECOND.render())
    other = next_link(ROOT, "dora")
    assert pinned.chain() == (Link(ROOT),)
    pinned.advance([other], NOW, "f")
    assert pinned.chain() == (Link(ROOT), other)


def test_two_rotations_at_once(pinned: TrustStore) -> None:
    """Of two different successors one comes into force, the other belongs to another chain."""
    rivals = [SECOND, next_link(ROOT, "dora")]

    def run(link: Link) -> type[Exception] | None:
        try:
            pinned.advance([link], NOW, "f")
        except trustchain.OtherTrustRoot as error:
            return type(error)
        return None

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(run, rivals))
    assert sorted(map(str, ends)) == sorted(map(str, [None, trustchain.OtherTrustRoot]))
    assert pinned.root() == rivals[ends.index(None)].root


def test_pinned_late_with_the_whole_chain(store: TrustStore) -> None:
    store.pin([Link(ROOT), SECOND, THIRD], THIRD.root.fingerprint)
    assert store.chain() == (Link(ROOT), SECOND, THIRD)
    with pytest.raises(TrustRootExists):
        store.pin([Link(ROOT)], ROOT.fingerprint)


def test_pinned_late_by_the_last_alone(store: TrustStore) -> None:
    store.pin([THIRD], THIRD.root.fingerprint)
    assert store.chain() == (THIRD,)


def test_history_that_leads_elsewhere(pinned: TrustStore) -> None:
    pinned.advance([SECOND], NOW, "f")
    other = next_link(ROOT, "dora")
    (pinned.folder / "history" / "2.trust").write_bytes(other.render())
    with pytest.raises(trustchain.OtherTrustRoot, match="is in force"):
        pinned.chain()
    assert pinned.root() == SECOND.root
