"""Signatures beside volumes: added later and elsewhere, so that no volume is ever rewritten.

``NAME-VERSION.statement.json.KEY.sig`` signs the statement that is inside the volumes,
``NAME-VERSION.volumes.json.KEY.sig`` the list of volumes; KEY tells the files of two signers apart
(`key_id`) and means nothing. Which volumes a signature is for follows from the beginning of its
name; whether it is good, and counts, is judged with those inside (check 3 of
docs/bundle-format.md).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bundles.errors import GooseError, shown
from bundles.signing.sshkey import PublicKey
from bundles.signing.sshsig import MAX_SIGNATURE, SignatureMalformed

STATEMENT, LIST = ".statement.json", ".volumes.json"
MAX_BESIDE = 64  # files of one bundle

_VOLUME = re.compile(r"(.+)\.\d+of\d+\.goose\.tar(?:\.age)?")
_OF_STATEMENT = re.compile(r"(.+)\.statement\.json(?:\.[\w-]+)?\.sig", re.ASCII)
# The builder's own are .sig, .sig.2 and so on.
_OF_LIST = re.compile(r"(.+)\.volumes\.json(?:(?:\.[\w-]+)?\.sig|\.sig\.\d+)", re.ASCII)


class StraySignature(GooseError):
    """A signature was given that belongs to none of the volumes given."""

    code = "stray-signature"
    default_hint = "its name and that of its volumes begin with the same NAME-VERSION"


def stem(volume: Path) -> str:
    """``NAME-VERSION`` of a volume's file name; its whole name when it has another form."""
    named = _VOLUME.fullmatch(volume.name)
    return named[1] if named else volume.name


def is_signature(path: Path) -> bool:
    """Whether a file's name is that of a statement's signature."""
    return _OF_STATEMENT.fullmatch(path.name) is not None


def is_list_signature(path: Path) -> bool:
    """Whether a file's name is that of a volume list's signature."""
    return _OF_LIST.fullmatch(path.name) is not None


def stem_of_signature(path: Path) -> str:
    """``NAME-VERSION`` of the bundle that `path` signs, as its name has it."""
    named = _OF_STATEMENT.fullmatch(path.name) or _OF_LIST.fullmatch(path.name)
    return named[1] if named else path.name


def key_id(key: PublicKey) -> str:
    """KEY in the names of files: the first 16 hexadecimal digits of the key's fingerprint."""
    return hashlib.sha256(key.wire).hexdigest()[:16]


def of_statements(
    paths: Sequence[Path], volumes: Iterable[Path]
) -> Mapping[str, Sequence[tuple[str, bytes]]]:
    """Name and content of the statement's signatures for each stem of `volumes`: beside them, in
    the folders among `paths`, and those among `paths` themselves. A renamed volume, whose name
    does not tell its bundle, gets what is given by name.

    Raises `StraySignature` or `SignatureMalformed`.
    """
    found: dict[str, dict[Path, tuple[str, bytes]]] = {stem(volume): {} for volume in volumes}
    renamed = [volume.name for volume in volumes if not _VOLUME.fullmatch(volume.name)]
    given = [path for path in paths if is_signature(path)]
    folders = [path for path in paths if path.is_dir()]
    folders += [path.parent for path in volumes]
    lying = [file for folder in dict.fromkeys(folders) for file in _listed(folder)]
    for file in (*given, *lying):
        named = _OF_STATEMENT.fullmatch(file.name)
        meant = [named[1]] if named and named[1] in found else []
        if file in given:
            meant += renamed
        for stem_ in meant:
            files = found[stem_]
            files.setdefault(file.resolve(), (shown(file.name), _read(file)))
            if len(files) > MAX_BESIDE:
                raise SignatureMalformed(f"over {MAX_BESIDE} signatures of {stem_}")
        if file in given and not meant:
            raise StraySignature(f"{shown(file.name)} belongs to none of the volumes given")
    return {name: tuple(files.values()) for name, files in found.items()}


def of_list(path: Path) -> Sequence[tuple[str, bytes]]:
    """Name and content of every signature beside the volume list at `path`.

    Raises `SignatureMalformed`.
    """
    return signatures_of(path, _listed(path.parent))


def signatures_of(path: Path, files: Iterable[Path]) -> Sequence[tuple[str, bytes]]:
    """Those among `files` that by their names are signatures of the volume list at `path`.

    Raises `SignatureMalformed`.
    """
    found = []
    for file in files:
        named = _OF_LIST.fullmatch(file.name)
        if named and named[1] + LIST == path.name:
            found.append((shown(file.name), _read(file)))
    if len(found) > MAX_BESIDE:
        raise SignatureMalformed(f"over {MAX_BESIDE} signatures of {shown(path.name)}")
    return found


def _listed(folder: Path) -> list[Path]:
    """What lies in `folder`; nothing where it cannot be listed, for a volume in it can still be
    read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _read(path: Path) -> bytes:
    """At most one byte more than a signature has. A FIFO must not make the reader wait."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SignatureMalformed(f"{shown(path.name)} is not a regular file")
            return os.read(descriptor, MAX_SIGNATURE + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SignatureMalformed(f"{shown(path.name)}: {error.strerror}") from error
