"""Paths in a bundle: plain, relative, and never out of it."""

from __future__ import annotations

import re
from collections.abc import Collection

from bundles.errors import GooseError

MAX_PATH = 4096  # bytes of a path in UTF-8, as PATH_MAX
MAX_NAME = 255  # bytes of one component, as NAME_MAX

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BadLayout(GooseError):
    """A manifest or index is not of the form that the format prescribes."""

    code = "bad-layout"
    default_hint = "the volume was not written by goosectl, or was changed since: get it again"


class PathEscapes(BadLayout):
    """A path in a bundle would leave its root."""

    code = "path-escapes"
    default_hint = "do not use this bundle; ask its builder where it came from"


def check_path(path: str, where: str) -> str:
    """`path` when it is a plain relative path: no empty, ``.`` or ``..`` component, no control
    character, at most 4096 bytes of UTF-8 and 255 per component.

    Raises `PathEscapes` or `BadLayout`.
    """
    parts = path.split("/")
    if path.startswith("/") or ".." in parts:
        raise PathEscapes(f"{where}: the path {path!r} leaves the bundle's root")
    if not path or "" in parts or "." in parts or _CONTROL.search(path):
        raise BadLayout(f"{where}: {path!r} is not a plain relative path")
    try:
        size = len(path.encode())
        long = size > MAX_PATH or (
            size > MAX_NAME and any(len(part.encode()) > MAX_NAME for part in parts)
        )
    except UnicodeEncodeError as error:
        raise BadLayout(f"{where}: the path {path!r} is not valid UTF-8") from error
    if long:
        raise BadLayout(f"{where}: the path {path[:80]!r}... is too long (255 bytes a name)")
    return path


def file_and_folder(paths: Collection[str]) -> str | None:
    """A path among `paths` that is also a folder of another, if there is one."""
    known = set(paths)
    # A folder whose ancestors were looked at once need not be looked at again.
    folders: set[str] = set()
    for path in known:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return min(folders & known, default=None)
