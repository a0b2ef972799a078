"""Numbers of bytes, as people write and read them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bundles.errors import UsageError
from goosectl import sizes
from tests.parts import part


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1", 1),
        ("4700000000", 4_700_000_000),
        ("4.7G", 4_700_000_000),
        ("4.7 GB", 4_700_000_000),
        ("700MiB", 700 * 2**20),
        ("1kib", 1024),
        ("fat32", 2**32 - 1),
        ("DVD5", 4_700_372_992 - 16 * 2**20),
        ("bd25", 24_220_008_448 - 16 * 2**20),
    ],
)
def test_sizes_as_people_write_them(text: str, count: int) -> None:
    assert sizes.parse(text) == count


@pytest.mark.parametrize(("medium", "sectors"), [("dvd5", 2_295_104), ("bd25", 11_826_176)])
def test_a_full_volume_fits_on_its_disc_with_what_belongs_to_it(
    tmp_path: Path, medium: str, sectors: int
) -> None:
    """As a stock tool lays out the disc: nothing is written, and the volume is a hole."""
    for name, size in {
        "x-1.1of9.goose.tar": sizes.parse(medium),
        "x-1.volumes.json": 2**22,
    }.items():
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    for number in range(8):
        (tmp_path / f"x-1.sheet.{number}").write_bytes(bytes(100_000))
    command = [str(part("genisoimage")), "-quiet", "-udf", "-allow-limited-size", "-print-size"]
    said = subprocess.run([*command, str(tmp_path)], check=True, capture_output=True, text=True)
    assert sectors - 8192 < int(said.stdout) <= sectors


def test_the_page_on_recipes_has_every_medium() -> None:
    page = (Path(__file__).parents[2] / "docs/recipes.md").read_text()
    for medium, size in sizes.MEDIA.items():
        assert f"| {medium} | {size} |" in page


@pytest.mark.parametrize("text", ["", "G", "-1", "1.2.3G", "4 apples", "1e9", "dvd9"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="not a size") as caught:
        sizes.parse(text)
    assert "dvd5" in caught.value.hint


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (4_700_372_992, "4.7 GB"),
        (10**15, "1000.0 TB"),
    ],
)
def test_sizes_as_people_read_them(count: int, text: str) -> None:
    assert sizes.text(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 tries"), (1, "1 try"), (2, "2 tries")], ids=["none", "one", "two"]
)
def test_one_of_a_thing_is_not_told_in_the_plural(count: int, text: str) -> None:
    assert sizes.amount(count, "try", "tries") == text
    assert sizes.amount(count, "blob") == ("1 blob" if count == 1 else f"{count} blobs")
