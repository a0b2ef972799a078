"""The site's trust roots on disk: pinned once, by the fingerprint that was confirmed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bundles import canonical, trust
from bundles.trustform import BadTrustRoot
from bundles.truststore import (
    NoTrustRoot,
    TrustRootExists,
    TrustStore,
    TrustUnusable,
    WrongFingerprint,
)
from tests.bundles.signing import signer

ROOT = trust.first([(signer(1).public, "anna")], 1)
OTHER = trust.first([(signer(2).public, "anna")], 1)


@pytest.fixture
def store(tmp_path: Path) -> TrustStore:
    return TrustStore(tmp_path / "site" / "trust")


def test_no_root(store: TrustStore) -> None:
    with pytest.raises(NoTrustRoot, match="site/trust holds no trust root") as caught:
        store.root()
    assert "trust init" in caught.value.hint


def test_pinned_root_is_in_force_and_in_the_history(store: TrustStore) -> None:
    store.pin(ROOT, ROOT.fingerprint)
    assert store.root() == ROOT
    files = sorted(path for path in store.folder.rglob("*") if path.is_file())
    assert files == [store.folder / "history" / "1.json", store.folder / "root.json"]
    assert {path.read_bytes() for path in files} == {ROOT.render()}


def test_root_of_another_fingerprint_is_not_pinned(store: TrustStore) -> None:
    with pytest.raises(WrongFingerprint) as caught:
        store.pin(OTHER, ROOT.fingerprint)
    assert ROOT.fingerprint in caught.value.message
    assert OTHER.fingerprint in caught.value.message
    assert not store.folder.exists()


def test_second_root_is_not_pinned_over_the_first(store: TrustStore) -> None:
    store.pin(ROOT, ROOT.fingerprint)
    with pytest.raises(TrustRootExists):
        store.pin(OTHER, OTHER.fingerprint)
    assert store.root() == ROOT


def test_unreadable_root_is_not_replaced(store: TrustStore) -> None:
    store.folder.mkdir(parents=True)
    store.path.write_bytes(b"damaged")
    with pytest.raises(TrustRootExists):
        store.pin(ROOT, ROOT.fingerprint)
    assert store.path.read_bytes() == b"damaged"


def test_deleted_root_is_not_forgotten(store: TrustStore) -> None:
    """Who removes root.json does not get a site that trusts on first use again."""
    store.pin(ROOT, ROOT.fingerprint)
    store.path.unlink()
    with pytest.raises(TrustRootExists, match=r"history/1\.json"):
        store.pin(OTHER, OTHER.fingerprint)


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
    store.pin(ROOT, ROOT.fingerprint)
    store.path.write_bytes(change(ROOT.render()))
    with pytest.raises(refusal, match=r"site/trust/root\.json"):
        store.root()


def test_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = TrustStore(tmp_path / "file" / "trust")
    with pytest.raises(TrustUnusable, match="Not a directory"):
        store.pin(ROOT, ROOT.fingerprint)
    with pytest.raises(TrustUnusable, match="Not a directory"):
        store.root()
