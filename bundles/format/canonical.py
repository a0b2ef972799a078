"""Canonical JSON: one text per value, so that a signature covers what a reader sees.

The subset of RFC 8785 (JSON Canonicalization Scheme) that needs no rule for numbers: objects
with ASCII keys in order, arrays, strings, integers within 2^53, true, false and null; UTF-8, no
white space, no floats.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from bundles.errors import GooseError

MAX_INTEGER = 2**53 - 1


class NotCanonical(GooseError):
    """A signed document is not canonical JSON."""

    code = "not-canonical"
    default_hint = "it was not written by goosectl, or was changed since: get it again"


def dumps(value: object) -> bytes:
    """The one encoding of `value`. Lengths of strings and integers alone decide its length.

    Raises `NotCanonical` for what the subset does not have.
    """
    _check(value)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise NotCanonical("a string holds a lone surrogate, which UTF-8 cannot carry") from error


def loads(data: bytes, what: str) -> Any:
    """The value that `data` encodes; `what` names the document in errors.

    Raises `NotCanonical` unless `dumps` would give exactly `data` back: this refuses duplicate
    keys, floats, other spellings of a string and trailing bytes alike.
    """
    try:
        value = json.loads(data, parse_float=_no_floats, parse_constant=_no_floats)
        if dumps(value) == data:
            return value
    except NotCanonical as error:
        raise NotCanonical(f"{what}: {error.message}") from error
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"{what} is not JSON: {error}") from error
    raise NotCanonical(f"{what} is JSON, but not in canonical form")


def _no_floats(text: str) -> NoReturn:
    raise NotCanonical(f"the number {text} is not an integer")


def _check(value: object) -> None:
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise NotCanonical(f"the integer {value} does not fit in 53 bits")
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise NotCanonical(f"the key {key!r} is not ASCII text")
            if type(item) is not str:  # most are, in documents of 200,000 files
                _check(item)
    else:
        raise NotCanonical(f"a {type(value).__name__} has no canonical form")
