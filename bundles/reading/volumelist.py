"""The volume list: which files a bundle's media hold, under signature.

It says what is missing, foreign or damaged before anything is read in full, and for sealed volumes
to somebody who cannot open them. It adds nothing to what makes a volume trusted: volumes speak for
themselves. Takes bytes, never paths, and does no I/O. The numbers are those of
docs/bundle-format.md, "The volume list".

 L1. The list carries enough good signatures of signers that the trust root allows for lists, now.
 L2. It is well formed, and names its files as the format does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bundles.errors import GooseError
from bundles.format import canonical, statement
from bundles.format.fields import Fields
from bundles.format.statement import MAX_VOLUMES
from bundles.reading.verify import Authority
from bundles.signing.sshsig import VOLUMES
from bundles.signing.trust import TooFewSignatures

FORMAT = 1
SUFFIX = ".volumes.json"
MAX_LIST = 4 * 1024 * 1024  # bytes; 10,000 volumes take fewer than 3 MiB

VOLUME_SUFFIX = ".goose.tar"
SEALED_SUFFIX = ".age"


class BadVolumeList(GooseError):
    """A volume list is not of the form that the format prescribes."""

    code = "bad-volume-list"
    default_hint = "get the list again; without it, the volumes are checked by what they hold"


class UnsignedVolumeList(GooseError):
    """A volume list has no signature, or too few, and nothing else vouches for the volumes."""

    code = "unsigned-volume-list"
    default_hint = "get its signatures, the .sig files, from where the media were written"


@dataclass(frozen=True, slots=True)
class ListedVolume:
    """What the list says of one volume."""

    file: str
    size: int  # bytes
    digest: str  # of the whole file; of the ciphertext where it is sealed


@dataclass(frozen=True, slots=True)
class VolumeList:
    """The volumes of one bundle, in order: volume K is `volumes[K - 1]`."""

    name: str
    version: str
    statement: str  # digest of the statement's bytes
    volumes: tuple[ListedVolume, ...]

    @property
    def stem(self) -> str:
        """What the names of all its files begin with: NAME-VERSION, or more."""
        return self.volumes[0].file.rpartition(".1of")[0]

    @property
    def sealed(self) -> bool:
        """Whether the volumes are sealed: all are, or none is."""
        return self.volumes[0].file.endswith(SEALED_SUFFIX)

    def encode(self) -> bytes:
        """The signed bytes."""
        return canonical.dumps(
            {
                "format": FORMAT,
                "name": self.name,
                "statement": self.statement,
                "version": self.version,
                "volumes": [
                    {"digest": volume.digest, "file": volume.file, "size": volume.size}
                    for volume in self.volumes
                ],
            }
        )

    def number_of(self, file: str) -> int | None:
        """The number, from 1, of the volume that the list calls `file`."""
        names = (volume.file for volume in self.volumes)
        return next((number for number, name in enumerate(names, 1) if name == file), None)


def stem(name: str, version: str) -> str:
    """What the names of a bundle's files begin with."""
    return f"{name}-{version}"


def volume_file(stem: str, number: int, of: int, sealed: bool) -> str:
    """The name of the file of volume `number`, from 1, of `of`."""
    suffix = SEALED_SUFFIX if sealed else ""
    return f"{stem}.{number}of{of}{VOLUME_SUFFIX}{suffix}"


def signature_file(list_file: str, number: int) -> str:
    """The name of the list's signature `number`, from 1."""
    return f"{list_file}.sig" + ("" if number == 1 else f".{number}")


def read(data: bytes, where: str) -> VolumeList:
    """L2: the list that `data` encodes, trusted only as far as `data` is; `where` names it in
    errors.

    Raises `NotCanonical` or `BadVolumeList`; afterwards `encode` of the result is `data`.
    """
    if len(data) > MAX_LIST:
        raise BadVolumeList(f"{where} has {len(data)} bytes; a volume list at most {MAX_LIST}")
    fields = Fields(canonical.loads(data, where), _FIELDS, where, BadVolumeList)  # L2
    if fields.whole("format") != FORMAT:
        raise fields.wrong("format", f"is not {FORMAT}")
    items = fields.items("volumes")
    if not 1 <= len(items) <= MAX_VOLUMES:
        raise fields.wrong("volumes", f"lists {len(items)}, not 1 to {MAX_VOLUMES}")
    found = VolumeList(
        name=fields.text("name", statement.NAME),
        version=fields.text("version", statement.VERSION),
        statement=fields.digest("statement"),
        volumes=tuple(_volume(item, f"{where}: volume {n}") for n, item in enumerate(items, 1)),
    )
    for number, volume in enumerate(found.volumes, 1):
        right = volume_file(found.stem, number, len(items), found.sealed)
        if volume.file != right:
            raise BadVolumeList(f"{where}: volume {number} is called {volume.file!r}, not {right}")
    if not found.stem.startswith(stem(found.name, found.version)):
        raise BadVolumeList(f"{where}: {found.stem!r} is not of {found.name} {found.version}")
    return found


def verify(
    data: bytes, signatures: Sequence[bytes], authority: Authority, at: datetime, where: str
) -> tuple[VolumeList, tuple[str, ...]]:
    """L1 and L2: the list, and the names of the signers who vouch for it at the moment `at`.

    Raises `UnsignedVolumeList`, what `Authority.authorise` raises, and what `read` raises.
    """
    if not signatures:
        raise UnsignedVolumeList(f"{where} has no signature beside it")
    try:
        signers = authority.authorise(data, signatures, VOLUMES, at)  # L1
    except GooseError as error:
        if isinstance(error, TooFewSignatures) and error.details.get("counted"):
            raise UnsignedVolumeList(f"{where}: {error.message}") from error
        raise type(error)(
            f"{where}: {error.message}", hint=f"{error.hint}; {_WITHOUT}", **error.details
        ) from error
    return read(data, where), tuple(signer.name for signer in signers)


_WITHOUT = "without the list, volumes are checked by what they hold"
_FILE = re.compile(r"[A-Za-z0-9._-]+")
_FIELDS = {"format", "name", "statement", "version", "volumes"}


def _volume(item: object, where: str) -> ListedVolume:
    fields = Fields(item, {"digest", "file", "size"}, where, BadVolumeList)
    return ListedVolume(
        file=fields.text("file", _FILE), size=fields.whole("size"), digest=fields.digest("digest")
    )
