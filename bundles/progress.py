"""How a long operation tells what it is doing; who shows it is not its concern."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told by builders and importers; shown by the command line."""

    def start(self, stage: str, total: int | None) -> None:
        """A stage begins; `total` is its length in bytes when that is known."""

    def advance(self, count: int, item: str | None = None) -> None:
        """`count` more bytes are done; `item` names what is in hand."""

    def finish(self) -> None:
        """The stage is over."""


class _Silent:
    def start(self, stage: str, total: int | None) -> None:
        pass

    def advance(self, count: int, item: str | None = None) -> None:
        pass

    def finish(self) -> None:
        pass


SILENT: Progress = _Silent()
