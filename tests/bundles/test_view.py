"""Looking at a bundle: what its builder added is read by offset, and only what was given counts."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from bundles.format import layout
from bundles.making import sbom
from bundles.packages.listed import BadBill, read
from bundles.progress import SILENT
from bundles.reading.scan import DamagedBlob
from bundles.sealing import identity as keys
from bundles.sealing import seal
from bundles.signing import agekey
from bundles.signing.policy import Policy
from bundles.site import view
from bundles.site.ingest import open_volumes
from bundles.site.view import NotAtHand, View
from bundles.sources import Artifact, SourceFile
from bundles.sources.artifact import Known
from tests.bundles import packaging
from tests.bundles.making import NOW, Workshop


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def _second(_: Known) -> bytes:
    return b"second"


def artifacts(shop: Workshop) -> list[Artifact]:
    """The content of the workshop, with a bill and one more added file behind it."""
    content = shop.artifacts()
    bill = sbom.expand(shop.draft(), content, SILENT)
    more = SourceFile("provenance.json", 6, 0o644, "", _second)
    return [*content, bill, Artifact("provenance", layout.PROVENANCE, (more,))]


def looked(
    shop: Workshop,
    stack: ExitStack,
    *paths: Path,
    identity: Path | None = None,
    patient: bool = True,
) -> View:
    identities = keys.read(identity) if identity else []
    volumes = open_volumes(paths, shop.root, Policy(NOW), stack, identities)
    return view.of_volumes(volumes, patient=patient)


def test_volumes_and_store_show_the_same(shop: Workshop) -> None:
    packaging.rpm(shop.tree)
    volumes = shop.build(artifacts=artifacts(shop), volume_size=300_000)
    shop.import_(*volumes)
    with ExitStack() as stack:
        given = looked(shop, stack, *volumes)
        ref = shop.store.refs().current("base")
        assert ref is not None
        stored = view.of_store(shop.store, ref)
        assert dict(given.files) == dict(stored.files)
        assert given.statement == stored.statement
        for title in (layout.PROVENANCE, layout.SBOM, layout.PROVENANCE):
            assert given.added(title) == stored.added(title)
        assert [each.name for each in read(given.added(layout.SBOM), "x").packages] == ["hello"]


def test_what_is_added_is_read_by_its_offset(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop.tree / "huge").touch()
    with open(shop.tree / "huge", "r+b") as file:
        file.truncate(50 << 20)
    [volume] = shop.build(artifacts=artifacts(shop))
    with ExitStack() as stack:
        [opened] = open_volumes([volume], shop.root, Policy(NOW), stack)
        taken = 0
        read_on = opened.reader._source.read

        def counted(count: int) -> bytes:
            nonlocal taken
            taken += count
            return read_on(count)

        monkeypatch.setattr(opened.reader._source, "read", counted)
        assert view.of_volumes([opened]).added(layout.SBOM)
        assert taken < 1 << 20


def test_a_volume_that_was_not_given_is_named(shop: Workshop) -> None:
    volumes = shop.build(artifacts=artifacts(shop), volume_size=300_000)
    with ExitStack() as stack:
        given = looked(shop, stack, volumes[0])
        with pytest.raises(NotAtHand, match=rf"is in volume {len(volumes)}, which was not given"):
            given.added(layout.SBOM)


def test_a_bundle_without_says_so(shop: Workshop) -> None:
    volumes = shop.build()
    with ExitStack() as stack, pytest.raises(NotAtHand, match=r"1\.0\.0 holds no goose/sbom"):
        looked(shop, stack, *volumes).added(layout.SBOM)


def test_a_sealed_volume_is_opened_up_to_it_only_on_demand(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity, _, recipient = agekey.generate(shop.folder / "age", "site")
    volumes = shop.build(artifacts=artifacts(shop), recipients=[seal.recipient(recipient)])
    monkeypatch.setattr(view, "_MAX_UNSEALED", 1000)
    with ExitStack() as stack:
        given = looked(shop, stack, *volumes, identity=identity, patient=False)
        with pytest.raises(NotAtHand, match="at the end of a sealed volume"):
            given.added(layout.SBOM)
    with ExitStack() as stack:
        given = looked(shop, stack, *volumes, identity=identity)
        assert given.added(layout.PROVENANCE) == b"second"
        assert given.added(layout.SBOM).startswith(b'{"$schema"')


def test_a_damaged_bill_is_not_shown(shop: Workshop) -> None:
    [volume] = shop.build(artifacts=artifacts(shop))

    def change(data: bytearray) -> None:
        data[data.rindex(b"CycloneDX")] ^= 1

    with (
        ExitStack() as stack,
        pytest.raises(DamagedBlob, match=r"goose/sbom\.cdx\.json is damaged"),
    ):
        looked(shop, stack, shop.spoiled(volume, change)).added(layout.SBOM)


def test_a_bill_larger_than_memory_allows_is_not_read(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    [volume] = shop.build(artifacts=artifacts(shop))
    monkeypatch.setattr(view, "MAX_ADDED", 10)
    with ExitStack() as stack, pytest.raises(NotAtHand, match="bytes"):
        looked(shop, stack, volume).added(layout.SBOM)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"bomFormat":"CycloneDX"}',
        b'{"bomFormat":"SPDX","components":[]}',
        b'{"bomFormat":"CycloneDX","components":[{"purl":"none"}]}',
        b'{"bomFormat":"CycloneDX","components":[1]}',
        b'{"bomFormat":"CycloneDX","components":[{"purl":"pkg:rpm/a@1"}]}',
        b'{"bomFormat":"CycloneDX","components":[{"properties":[[]]}]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_bill_is_refused(data: bytes) -> None:
    with pytest.raises(BadBill):
        read(data, "the bill")
