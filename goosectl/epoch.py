"""SOURCE_DATE_EPOCH: the moment that stands for now where the same inputs must give the same bytes.

Source: https://reproducible-builds.org/specs/source-date-epoch/
"""

from __future__ import annotations

import os

from bundles.errors import UsageError


def source_date() -> int | None:
    """Seconds since 1970, or None where it is not set. Raises `UsageError`."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return None
    if not (text.isdecimal() and len(text) < 12):  # a year of at most four digits
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}", hint="it is seconds since 1970")
    return int(text)
