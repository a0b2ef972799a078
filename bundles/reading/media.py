"""What lies on media: volumes and volume lists, found by name. Nothing is believed here."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from bundles.errors import GooseError, shown
from bundles.reading import beside, volumelist
from bundles.reading.volumelist import SEALED_SUFFIX, VOLUME_SUFFIX

_ENDINGS = f"volumes end in {VOLUME_SUFFIX} or {VOLUME_SUFFIX}{SEALED_SUFFIX}"
# What lies beside volumes and is none: `media/*` names it too.
_BESIDE = (f"{volumelist.SUFFIX}.", ".sheet.html", ".sheet.txt")


class NoVolumes(GooseError):
    """A path given as a volume or a folder of volumes is neither, or cannot be read."""

    code = "no-volumes"


@dataclass(slots=True)
class Media:
    """What was found, each file once, under the path that was given for it."""

    volumes: list[Path] = field(default_factory=list)
    lists: list[Path] = field(default_factory=list)
    near: list[Path] = field(default_factory=list)  # lists that only lie beside a volume given
    signatures: list[Path] = field(default_factory=list)  # of statements and of lists
    others: list[Path] = field(default_factory=list)  # files of other names, in folders given


def search(paths: Sequence[Path]) -> Media:
    """Volumes and lists among `paths`, folders being searched.

    Hidden files, which some systems strew over media, are passed over. Raises `NoVolumes` for a
    folder that holds no volume, list or signature, and when no volume or list is left.
    """
    found = Media()
    for path in paths:
        if path.is_dir():
            _search_folder(path, found)
        elif path.name.endswith(volumelist.SUFFIX):
            found.lists.append(path)
        elif _is_signature(path):
            found.signatures.append(path)
        elif not path.name.startswith("._") and not _is_beside(path):
            found.volumes.append(path)
            found.near += sorted(path.parent.glob(f"*{volumelist.SUFFIX}"))
    found.volumes, found.lists = _once(found.volumes), _once(found.lists)
    known = {path.resolve() for path in found.lists}
    found.near = [path for path in _once(found.near) if path.resolve() not in known]
    if not found.volumes and not found.lists:
        raise NoVolumes("no volume was given", hint=_ENDINGS)
    return found


def find_volumes(paths: Sequence[Path]) -> list[Path]:
    """The volumes among `paths`, each file once; see `search`. Raises `NoVolumes`, also when there
    are only lists."""
    if volumes := search(paths).volumes:
        return volumes
    raise NoVolumes("no volume was given", hint=_ENDINGS)


def _search_folder(folder: Path, found: Media) -> None:
    files = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".")]
    volumes = [file for file in files if file.name.endswith(_VOLUMES)]
    lists = [file for file in files if file.name.endswith(volumelist.SUFFIX)]
    signatures = [file for file in files if _is_signature(file)]
    if not volumes and not lists and not signatures:
        raise NoVolumes(f"{shown(folder)} holds no volume", hint=_ENDINGS)
    found.volumes += volumes
    found.lists += lists
    found.signatures += signatures
    named = {*volumes, *lists, *signatures}
    found.others += [file for file in files if file not in named and not _is_beside(file)]


_VOLUMES = (VOLUME_SUFFIX, VOLUME_SUFFIX + SEALED_SUFFIX)


def _is_signature(path: Path) -> bool:
    return beside.is_signature(path) or beside.is_list_signature(path)


def _is_beside(path: Path) -> bool:
    return any(ending in path.name for ending in _BESIDE)


def _once(paths: Sequence[Path]) -> list[Path]:
    return list({path.resolve(): path for path in reversed(paths)}.values())[::-1]


def open_regular(path: Path) -> BufferedReader:
    """Opens a regular file; a FIFO must not make the reader wait for ever.

    Raises `NoVolumes`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NoVolumes(
            f"{shown(path)}: {error.strerror}", hint="give a volume or a folder of volumes"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NoVolumes(f"{shown(path)} is not a regular file", hint=_ENDINGS)
    return open(descriptor, "rb")


def read_small(path: Path, limit: int) -> bytes:
    """The bytes of a file, one more than `limit` at most. Raises `NoVolumes`."""
    with open_regular(path) as file:
        try:
            return file.read(limit + 1)
        except OSError as error:
            raise NoVolumes(f"{shown(path)}: {error.strerror}") from error
