"""Where content comes from: one module per content type, each turning a recipe's entry into an
`Artifact`, the list of files that the builder reads."""

from __future__ import annotations

from bundles.sources.artifact import Artifact, SourceFault, SourceFile

__all__ = ["Artifact", "SourceFault", "SourceFile"]
