"""Numbers of bytes, as people write and read them."""

from __future__ import annotations

import re

from bundles.errors import UsageError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?", re.IGNORECASE)

# What fits on common media: the largest file of FAT32, and the sectors of 2048 bytes of a
# single-layer DVD (ECMA-267) and of a single-layer Blu-ray disc.
MEDIA = {"fat32": 2**32 - 1, "dvd5": 2_295_104 * 2048, "bd25": 12_219_392 * 2048}


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
