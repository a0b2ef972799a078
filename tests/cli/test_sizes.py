"""Numbers of bytes, as people write and read them."""

from __future__ import annotations

import pytest

from bundles.errors import UsageError
from goosectl import sizes


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
        ("DVD5", 4_700_372_992),
        ("bd25", 25_025_314_816),
    ],
)
def test_sizes_as_people_write_them(text: str, count: int) -> None:
    assert sizes.parse(text) == count


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
