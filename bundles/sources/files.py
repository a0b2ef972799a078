"""The content type `file`: one file under one name."""

from __future__ import annotations

import os
from pathlib import Path

from bundles.sources.artifact import Artifact, SourceFault, source_file, unreadable


def expand(location: Path, title: str) -> Artifact:
    """The file at `location`, served as `title`. Raises `SourceFault`."""
    try:
        info = os.stat(location)
    except OSError as error:
        raise unreadable(str(location), error) from error
    if location.is_dir():
        raise SourceFault(f"{location} is a folder", hint="use `tree:` for a folder")
    name = title.rsplit("/", 1)[-1]
    return Artifact("file", title, (source_file(name, str(location), info),))
