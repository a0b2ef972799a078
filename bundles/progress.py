"""How a long operation tells what it is doing; who shows it is not its concern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Preflight:
    """What an operation is about to take: told before its first byte is written."""

    volumes: int  # how many are written, or read
    bytes: int  # of those volumes, at most
    needed: int  # bytes of new space, at most
    free: int | None  # bytes where they go; None where that cannot be known


class Progress(Protocol):
    """Told by builders and importers; shown by the command line. Any thread may call."""

    def preflight(self, needs: Preflight) -> None:
        """What comes will take this much."""

    def start(self, stage: str, total: int | None) -> None:
        """A stage begins; `total` is its length in bytes when that is known."""

    def volume(self, file: str, number: int, of: int) -> None:
        """What follows belongs to the volume `file`, which is `number` (from 1) of `of`."""

    def advance(self, count: int, item: str | None = None) -> None:
        """`count` more bytes are done; `item` names what is in hand."""

    def finish(self) -> None:
        """The stage is over."""


class _Silent:
    def preflight(self, needs: Preflight) -> None:
        pass

    def start(self, stage: str, total: int | None) -> None:
        pass

    def volume(self, file: str, number: int, of: int) -> None:
        pass

    def advance(self, count: int, item: str | None = None) -> None:
        pass

    def finish(self) -> None:
        pass


SILENT: Progress = _Silent()
