"""How a plan fills volumes, told from sizes alone: no file is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundles.format import layout
from bundles.making.plan import Plan
from bundles.sources import Artifact, SourceFile
from goosectl import sizes
from tests.bundles.making import Workshop

GIB = 2**30


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def planned(shop: Workshop, volume_size: int, *lengths: int) -> Plan:
    files = [SourceFile(f"f{n}", size, 0o644, "/nowhere") for n, size in enumerate(lengths)]
    return Plan([Artifact("tree", "os", tuple(files))], shop.draft(), [300], volume_size)


@pytest.mark.parametrize("medium", ["650MiB", "2GiB", *sizes.MEDIA])
def test_large_files_fill_every_medium(shop: Workshop, medium: str) -> None:
    """Media are dear, and a part that no longer fits ends a volume."""
    size, lengths = sizes.parse(medium), [31 * GIB, 5 * GIB + 7, 12 * GIB]
    volumes = len(planned(shop, size, *lengths).statement.volumes)
    assert volumes <= 1 + sum(lengths) / (size * 0.93)


def test_a_head_that_fills_most_of_a_volume_leaves_room_for_parts(shop: Workshop) -> None:
    many = planned(shop, 48 * 2**20, *[1] * 160_000, 100 * 2**20)
    assert len(many.statement.volumes) > 1


def test_parts_are_as_large_as_the_format_allows_where_there_is_room(shop: Workshop) -> None:
    found = planned(shop, 40 * GIB, 3 * GIB)
    assert [piece.layer.size for piece in found.pieces] == [layout.MAX_PART] * 3
