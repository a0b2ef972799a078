"""A certificate in a file, and what people want to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from goosed_daemon.pki.errors import PkiError


@dataclass(frozen=True, slots=True)
class Certificate:
    """What people want to know of a certificate."""

    name: str
    names: tuple[str, ...]  # DNS names and addresses; of an authority, what it may vouch for
    client: bool
    not_after: datetime
    fingerprint: str  # SHA-256 of the DER, hexadecimal, as openssl shows it
    path: Path


def load(path: Path) -> x509.Certificate:
    """The first certificate in `path`. Raises `PkiError`."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise PkiError(f"{path}: {error.strerror}", hint="mend the file or its folder") from error
    except ValueError as error:
        raise PkiError(f"{path} is not a certificate", hint="restore it from a backup") from error


def described(path: Path, certificate: x509.Certificate) -> Certificate:
    """`certificate`, which `path` holds, in words."""
    extensions = certificate.extensions
    names: list[str] = []
    client = False
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            names = [str(general.value) for general in value]
        elif isinstance(value, x509.NameConstraints):
            names = [str(general.value) for general in value.permitted_subtrees or []]
        elif isinstance(value, x509.ExtendedKeyUsage):
            client = ExtendedKeyUsageOID.CLIENT_AUTH in value
    return Certificate(
        name=str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value),
        names=tuple(names),
        client=client,
        not_after=certificate.not_valid_after_utc,
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        path=path,
    )
