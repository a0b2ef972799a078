"""An artifact before it is built: its files, and where each one's bytes are."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bundles.errors import GooseError, shown
from bundles.format import paths


class SourceFault(GooseError):
    """An input of a build cannot be taken."""

    code = "bad-source"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a bundle's content when one of its last files is made from it."""

    files: Sequence[str]  # the digest of each file so far, in order
    documents: Sequence[str]  # the digest of each artifact's document so far, in order


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to be bundled: a regular file, or one that `make` makes of all before it.

    What `make` returns has `size` bytes, whatever the digests it is given; so such a file is
    planned as any other. It stands alone in its artifact, and only others like it follow.

    `digest`, where it is known before the bytes are read, is compared when they are.
    """

    path: str  # within the artifact
    size: int  # bytes
    mode: int
    location: str  # where its bytes are
    make: Callable[[Known], bytes] | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """What an image or a chart is called by those who made it."""

    digest: str  # of its own manifest or index
    tag: str | None
    repository: str | None  # HOST/NAME of the registry that it came from


@dataclass(frozen=True, slots=True)
class Artifact:
    """One entry of a recipe, expanded. `kind` is a key of `layout.ARTIFACT_TYPES`."""

    kind: str
    title: str
    files: tuple[SourceFile, ...]
    named: Named | None = None  # of an image or a chart


def source_file(path: str, location: str, info: os.stat_result) -> SourceFile:
    """The file at `location` under the name `path`; `info` is its stat, links followed.

    Raises `SourceFault` for what is not a regular file, and for a name that no bundle can carry.
    """
    if not stat.S_ISREG(info.st_mode):
        raise SourceFault(
            f"{shown(location)} is neither a regular file nor a folder",
            hint="bundles carry regular files only: leave it out",
            file=location,
        )
    try:
        paths.check_path(path, shown(location))
    except paths.BadLayout as error:
        raise SourceFault(
            error.message, hint="rename the file, or leave it out", file=location
        ) from error
    return SourceFile(path, info.st_size, stat.S_IMODE(info.st_mode), location)


def unreadable(location: str, error: OSError) -> SourceFault:
    """`error` met at `location`, told in words."""
    return SourceFault(f"{shown(location)}: {error.strerror or error}", file=location)
