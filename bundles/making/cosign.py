"""A further signature for a bundle: made later and elsewhere, laid beside its volumes.

Nothing in a volume is changed. Two documents get a signature each: the statement, which says what
the bundle holds, and the list of volumes, which says by which files it travels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundles import digest as digests
from bundles.errors import GooseError, shown
from bundles.files import durable
from bundles.format import canonical
from bundles.format.statement import Statement
from bundles.reading import beside
from bundles.signing import sshsig
from bundles.signing.sshkey import UnsupportedKey
from bundles.signing.sshsig import BUNDLE, VOLUMES, Signer

_MAX_LIST = 16 * 1024 * 1024  # bytes


class ListMismatch(GooseError):
    """The list of volumes does not name the volumes beside it, or names another bundle."""

    code = "list-mismatch"
    default_hint = "do not sign: the list or a volume was changed or comes from another build"


class SignatureNotWritten(GooseError):
    """The files of new signatures cannot be written."""

    code = "signature-not-written"
    default_hint = "give a folder that can be written with --out, and carry it with the volumes"


@dataclass(frozen=True, slots=True)
class Document:
    """What is to be signed: the path that the names of its signatures begin with, its bytes, the
    namespace, and the keys that have signed it already, by fingerprint."""

    path: Path
    message: bytes
    namespace: str
    signed: frozenset[str]


def statement_of(volume: Path, message: bytes, signatures: Sequence[bytes]) -> Document:
    """The statement of the bundle of `volume`, as a document to sign."""
    path = volume.with_name(beside.stem(volume) + beside.STATEMENT)
    signed = [key for armored in signatures if (key := _good(message, armored, BUNDLE))]
    return Document(path, message, BUNDLE, frozenset(signed))


def list_of(volumes: Sequence[Path], said: Statement) -> Document | None:
    """The list of volumes beside one of `volumes`, when there is one and it names the bundle
    `said` and each of them by its digest.

    Raises `ListMismatch`, `NotCanonical`, or what is wrong with a signature beside it.
    """
    paths = [volume.with_name(beside.stem(volume) + beside.LIST) for volume in volumes]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    with open(path, "rb") as file:
        data = file.read(_MAX_LIST + 1)
    where = shown(path.name)
    listing = canonical.loads(data, where)
    try:
        about = (listing["name"], listing["version"], listing["statement"])
        rows = {row["file"]: row["digest"] for row in listing["volumes"]}
    except (KeyError, TypeError) as error:
        raise ListMismatch(f"{where} is not a list of volumes: {error!r}") from error
    if about != (said.name, said.version, digests.of(said.encode())):
        raise ListMismatch(f"{where} is not the list of this {said.name} {said.version}")
    for volume in volumes:
        _check_row(rows, volume, where)
    signed = set[str]()
    for name, armored in beside.of_list(path):
        try:
            signed.add(sshsig.verify(data, armored, VOLUMES).fingerprint)
        except UnsupportedKey:
            continue
        except GooseError as error:
            raise type(error)(f"{name}: {error.message}", hint=error.hint) from error
    return Document(path, data, VOLUMES, frozenset(signed))


def sign(documents: Sequence[Document], signers: Sequence[Signer], out: Path | None) -> list[Path]:
    """Signs each document by each signer who has not yet, and writes the signatures, all or none,
    beside the documents or into the folder `out`.

    Raises `SignatureNotWritten`, and what `sshsig.sign` raises.
    """
    files: dict[Path, tuple[bytes, int]] = {}
    for signer in signers:
        for document in documents:
            if signer.public.fingerprint in document.signed:
                continue
            name = f"{document.path.name}.{beside.key_id(signer.public)}.sig"
            armored = sshsig.sign(document.message, signer, document.namespace)
            files[(out or document.path.parent) / name] = (armored, 0o644)
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
        durable.create_files(files)
    except FileExistsError as error:
        raise SignatureNotWritten(
            f"{error.filename} is already there",
            hint="this key has signed before: carry that file, or remove it and sign again",
        ) from error
    except OSError as error:
        raise SignatureNotWritten(f"{error.filename or out}: {error.strerror}") from error
    return list(files)


def _good(message: bytes, armored: bytes, namespace: str) -> str | None:
    """The fingerprint of the key that signed, if it did."""
    try:
        return sshsig.verify(message, armored, namespace).fingerprint
    except GooseError:
        return None


def _check_row(rows: Mapping[str, object], volume: Path, where: str) -> None:
    name = shown(volume.name)
    if volume.name not in rows:
        raise ListMismatch(f"{where} does not name {name}")
    with open(volume, "rb") as file:
        digest = digests.PREFIX + hashlib.file_digest(file, "sha256").hexdigest()
    if digest != rows[volume.name]:
        raise ListMismatch(f"{name} is not the file that {where} names", found=digest)
