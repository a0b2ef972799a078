"""The lock beside a recipe: which bytes each remote input must have.

``NAME.lock`` beside ``NAME.yaml``; JSON, made to be read in a review. A build takes remote inputs
only as the lock pins them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.files import durable
from bundles.format.statement import parse_time

_VERSION: Literal["goose/v1"] = "goose/v1"


class BadLock(GooseError):
    """A lock cannot be read."""

    code = "bad-lock"
    default_hint = "make it anew with `goosectl bundle lock RECIPE`"


class NotLocked(GooseError):
    """A recipe has a remote input that its lock does not pin."""

    code = "not-locked"


@dataclass(frozen=True, slots=True)
class Pin:
    """One remote input."""

    url: str
    digest: str
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Lock:
    """What a lock pins, and when it was made (RFC 3339, UTC)."""

    created: str
    pins: tuple[Pin, ...]

    def pin(self, url: str) -> Pin | None:
        """The pin of `url`, if it has one."""
        return next((pin for pin in self.pins if pin.url == url), None)


def path_for(recipe: Path) -> Path:
    """Where the lock of a recipe is."""
    return recipe.with_suffix(".lock")


def read(path: Path) -> Lock | None:
    """The lock at `path`, or None when there is none. Raises `BadLock`."""
    try:
        value = json.loads(path.read_bytes())
        if value["apiVersion"] != _VERSION or value["kind"] != "Lock":
            raise BadLock(f"{path} is not a lock of {_VERSION}", file=str(path))
        pins = []
        for number, item in enumerate(value["inputs"], 1):
            digest = digests.check(item["digest"], f"{path}: input {number}")
            url, size = item["url"], item["size"]
            if not isinstance(url, str) or type(size) is not int or size < 0:
                raise ValueError(f"input {number}")
            pins.append(Pin(url, digest, size))
        parse_time(value["created"])
        return Lock(value["created"], tuple(pins))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadLock(f"{path}: {error.strerror}", file=str(path)) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadLock(f"{path} is not a lock: {error!r}", file=str(path)) from error


def changed(old: Lock, new: Lock) -> Iterator[tuple[Pin, Pin]]:
    """The pins of both whose content is another one now."""
    for pin in new.pins:
        before = old.pin(pin.url)
        if before is not None and before != pin:
            yield before, pin


def write(path: Path, lock: Lock) -> None:
    """Puts `lock` at `path` in one step. Raises OSError."""
    value = {
        "apiVersion": _VERSION,
        "kind": "Lock",
        "created": lock.created,
        "inputs": [
            {"url": pin.url, "digest": pin.digest, "size": pin.size}
            for pin in sorted(lock.pins, key=lambda pin: pin.url)
        ],
    }
    durable.replace_file(path, (json.dumps(value, indent=2) + "\n").encode())
