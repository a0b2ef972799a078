"""The content type `tree`: a folder with all that is below it.

A tree is its regular files. A symbolic link to a file or folder inside the tree is followed, so
that what a web server would have served is there (its bytes are stored once); a link that leaves
the tree, dangles or turns in a circle is refused by name, for a bundle that depends on what
happens to lie outside it could not be built twice.
"""

from __future__ import annotations

import os
from pathlib import Path

from bundles.errors import shown
from bundles.sources.artifact import (
    Artifact,
    SourceFault,
    SourceFile,
    source_file,
    unreadable,
)

_LINK_HINT = "replace the link by its target, or set `links: skip` on this tree"


def expand(location: Path, title: str, *, skip_links: bool = False) -> Artifact:
    """The files below `location`, in the order of their paths, served below `title`.

    Raises `SourceFault`.
    """
    root = os.path.realpath(location)
    if not os.path.isdir(root):
        raise SourceFault(f"{location} is not a folder", hint="use `file:` for a single file")
    found: list[SourceFile] = []
    _walk(root, "", root, (root,), found, skip_links)
    if not found:
        raise SourceFault(f"{location} holds no file", hint="an empty tree cannot be served")
    found.sort(key=lambda file: file.path)
    return Artifact("tree", title, tuple(found))


def _walk(
    folder: str,
    prefix: str,
    root: str,
    above: tuple[str, ...],
    found: list[SourceFile],
    skip_links: bool,
) -> None:
    try:
        with os.scandir(folder) as scan:
            entries = list(scan)
    except OSError as error:
        raise unreadable(folder, error) from error
    for entry in entries:
        path = prefix + entry.name
        try:
            if entry.is_symlink():
                if skip_links:
                    continue
                target = _target(entry.path, root, above)
                if os.path.isdir(target):
                    _walk(target, path + "/", root, (*above, target), found, skip_links)
                else:
                    found.append(source_file(path, target, os.stat(target)))
            elif entry.is_dir(follow_symlinks=False):
                _walk(entry.path, path + "/", root, (*above, entry.path), found, skip_links)
            else:
                found.append(source_file(path, entry.path, entry.stat(follow_symlinks=False)))
        except OSError as error:
            raise unreadable(entry.path, error) from error


def _target(link: str, root: str, above: tuple[str, ...]) -> str:
    """The real file or folder inside `root` that `link` stands for."""
    target = os.path.realpath(link)
    if not os.path.exists(target):
        raise SourceFault(f"{shown(link)} is a link to nothing", hint=_LINK_HINT, file=link)
    if os.path.commonpath((root, target)) != root:
        raise SourceFault(
            f"{shown(link)} is a link out of the tree, to {target}", hint=_LINK_HINT, file=link
        )
    if target in above:
        raise SourceFault(
            f"{shown(link)} is a link to a folder above itself", hint=_LINK_HINT, file=link
        )
    return target
