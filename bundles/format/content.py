"""A layer of a verified bundle, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass

from bundles.format.layout import Layer


@dataclass(frozen=True, slots=True)
class Content:
    """A layer of a verified bundle."""

    artifact: str  # title
    folder: str  # what its path is below: a tree's title, or the folder of a file's
    layer: Layer
    digest: str
    file_digest: str
    offset: int = 0  # bytes into its file; not 0 only for parts

    @property
    def name(self) -> str:
        """How errors and progress name it: its path in the bundle."""
        return f"{self.folder}/{self.layer.title}" if self.folder else self.layer.title

    @property
    def path(self) -> str:
        """The file it belongs to, as it is served."""
        return f"{self.folder}/{self.layer.path}" if self.folder else self.layer.path
