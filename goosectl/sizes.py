"""Numbers of bytes, seconds and things, as people write and read them."""

from __future__ import annotations

import re

from bundles.errors import UsageError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?", re.IGNORECASE)

# Of a disc: what its file system takes (UDF), the list of volumes, its signatures and the sheet.
_BESIDE = 16 * 2**20
# The largest file that fits on common media: FAT32 allows no larger one; a single-layer DVD+R has
# 2295104 sectors of 2048 bytes (ECMA-349), a single-layer Blu-ray disc 12219392, of which 11826176
# are left once it is formatted with spare sectors for bad ones, as most programs do (MMC-5).
MEDIA = {
    "fat32": 2**32 - 1,
    "dvd5": 2_295_104 * 2048 - _BESIDE,
    "bd25": 11_826_176 * 2048 - _BESIDE,
}


def parse(text: str) -> int:
    """Bytes that `text` names: 4700000000, 4.7G (powers of 1000), 700MiB (of 1024), or a medium
    of `MEDIA`.

    Raises `UsageError`.
    """
    if text.strip().lower() in MEDIA:
        return MEDIA[text.strip().lower()]
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise UsageError(
            f"{text!r} is not a size", hint=f"write it as 4.7G or 700MiB, or {', '.join(MEDIA)}"
        )
    return int(float(match[1]) * (_UNITS | _BINARY)[(match[2] or "").upper()])


def text(count: int) -> str:
    """`count` bytes in at most four digits and a unit."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def amount(count: int, noun: str, plural: str = "") -> str:
    """``1 file``, ``2 files``; ``2 tries`` where the plural is told."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def duration(seconds: float, *, tenths: bool = False) -> str:
    """`seconds` in words: 8 s (8.2 s with `tenths`), 3 min 20 s, 2 h 5 min."""
    if tenths and seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def clock(seconds: float) -> str:
    """`seconds` as a clock counts them down: 0:08, 3:20, 2:05:00."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
