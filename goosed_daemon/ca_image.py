"""A small second initial ramdisk that brings the site's authority to an installer, so that its
first fetch over HTTPS can be checked.

Where each installer looks was read in its sources; docs/tls.md tells release by release, and what
was never run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from goosed_daemon.cpio import File, archive

if TYPE_CHECKING:
    from cryptography import x509

NAME = "goose-site-ca"


def family(release: str) -> str | None:
    """The releases whose installers look in the same places as that of `release`; None where no
    ramdisk helps."""
    found = re.fullmatch(r"([a-z]+)[0-9]{1,3}", release)
    return found[1] if found and found[1] in _FAMILIES else None


def image(release: str, authorities: bytes) -> bytes:
    """The ramdisk for `release`, which trusts `authorities` (PEM, one or more) and, where a
    bundle of public ones is replaced, nothing else. Raises ValueError for a release that has no
    ramdisk, and for what is no PEM certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    certificates = x509.load_pem_x509_certificates(authorities)
    found = family(release)
    if found is None:
        raise ValueError(f"there is no ramdisk for {release!r}")
    pems = [one.public_bytes(Encoding.PEM) for one in certificates]
    return archive(_FAMILIES[found](pems, [one.subject for one in certificates]))


def _dracut(pems: list[bytes], subjects: list[x509.Name]) -> list[File]:
    # The curl of RHEL's ramdisk reads ca-bundle.crt, a link to the extracted bundle. The anchor is
    # where the installer's own tools look for what else is to be trusted.
    pem, pki = b"".join(pems), "etc/pki"
    return [
        File(f"{pki}/ca-trust/source/anchors/{NAME}.crt", pem),
        File(f"{pki}/ca-trust/extracted/pem/tls-ca-bundle.pem", pem),
        File(f"{pki}/tls/certs/ca-bundle.crt", pem),
        File(f"{pki}/tls/cert.pem", pem),
    ]


def _debian(pems: list[bytes], subjects: list[x509.Name]) -> list[File]:
    # The installer's wget is GNU's with OpenSSL: it reads cert.pem, which the installer has none
    # of, and the hashed folder, whose public authorities stay. The hook hands the authority to the
    # new system before apt fetches anything there.
    hashed: list[File] = []
    for pem, subject in zip(pems, subjects, strict=True):
        name = f"{subject_hash(subject):08x}"
        number = sum(file.path.startswith(f"etc/ssl/certs/{name}.") for file in hashed)
        hashed.append(File(f"etc/ssl/certs/{name}.{number}", pem))
    together = b"".join(pems)
    return [
        File(f"usr/local/share/ca-certificates/{NAME}.crt", together),
        File("usr/lib/ssl/cert.pem", together),
        *hashed,
        File("usr/lib/base-installer.d/05goose-site-ca", _DEBIAN_HOOK, mode=0o755),
    ]


_DEBIAN_HOOK = f"""\
#!/bin/sh
# Before the base system: apt in it trusts what the installer trusts.
set -e
for file in /usr/local/share/ca-certificates/{NAME}.crt; do
    mkdir -p /target/usr/local/share/ca-certificates /target/etc/ssl/certs
    cp "$file" /target/usr/local/share/ca-certificates/
    cat "$file" >>/target/etc/ssl/certs/ca-certificates.crt
done
""".encode()

_FAMILIES: dict[str, Callable[[list[bytes], list[x509.Name]], list[File]]] = {
    "rhel": _dracut,
    "debian": _debian,
}


_BLANK = " \t\n\v\f\r"
_BLANKS = re.compile(f"[{_BLANK}]+")


def subject_hash(name: x509.Name) -> int:
    """OpenSSL's X509_NAME_hash, by which it finds an authority in a folder (`openssl rehash`):
    SHA-1 over the canonical encoding, its first four bytes with the lowest first."""
    # Not for security: OpenSSL chose it, and only compares file names by it.
    digest = hashlib.sha1(_canonical(name), usedforsecurity=False).digest()
    return int.from_bytes(digest[:4], "little")


def _canonical(name: x509.Name) -> bytes:
    """crypto/x509/x_name.c, `x509_name_canon`: every text as UTF8String, in lower case for ASCII,
    without blanks at its ends and with single ones inside; no outer SEQUENCE."""
    from cryptography import x509

    out = b""
    for rdn in name.rdns:
        entries = []
        for attribute in rdn:
            oid = x509.Name([attribute]).public_bytes()
            value = attribute.value
            text = value if isinstance(value, str) else value.decode("latin-1")
            encoded = " ".join(_BLANKS.split(text.strip(_BLANK))).encode()
            lowered = bytes(b + 32 if 65 <= b <= 90 else b for b in encoded)
            entries.append(_der(0x30, _oid_of(oid) + _der(0x0C, lowered)))
        out += _der(0x31, b"".join(sorted(entries)))
    return out


def _oid_of(name: bytes) -> bytes:
    """The encoded OID within the encoding of a name with one attribute: SEQUENCE, SET, SEQUENCE."""
    for _ in range(3):
        name = _content(name)
    return name[: 2 + name[1]]


def _content(der: bytes) -> bytes:
    length = der[1]
    return der[2 + (length & 0x7F) :] if length & 0x80 else der[2:]


def _der(tag: int, content: bytes) -> bytes:
    """X.690, section 8.1: tag, length and content."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
