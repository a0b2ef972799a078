"""Where a page of a list ends, as a word that a client hands back.

A cursor names the last item's place in the list's order, and not how many came before: so what is
added or removed meanwhile neither repeats nor skips another item.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime

from goosed_daemon.errors import BadQuery

Place = tuple[str | int, ...]


def encode(*place: str | int | datetime) -> str:
    """The cursor of an item with this place."""
    plain = [at.isoformat() if isinstance(at, datetime) else at for at in place]
    data = json.dumps(plain, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(cursor: str | None, *kinds: type) -> Place | None:
    """The place that `cursor` names, its parts of `kinds`; None for the beginning. Raises
    `BadQuery`."""
    if cursor is None:
        return None
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=="))
        if [type(part) for part in place] != list(kinds):
            raise ValueError
        if any(isinstance(part, int) and abs(part) > 2**62 for part in place):
            raise ValueError
        if any(isinstance(part, str) and "\0" in part for part in place):
            raise ValueError
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise _bad() from error
    return tuple(place)


def time(text: str | int) -> datetime:
    """A part of a place that is a time. Raises `BadQuery`."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise _bad() from error
    if at.tzinfo is None:
        raise _bad()
    return at


def _bad() -> BadQuery:
    return BadQuery("cursor is not the `next` of a page of this list", parameter="cursor")
