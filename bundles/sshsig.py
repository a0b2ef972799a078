"""SSH signatures: made and checked so that ``ssh-keygen -Y`` takes ours and we take its.

Source: OpenSSH, PROTOCOL.sshsig. Everything here takes bytes and does no I/O. Ed25519 only: it is
what `goosectl key new` makes and what every OpenSSH since 6.5 has; any other algorithm is refused
by name.

The namespace says what kind of document is signed, so that a signature of one kind never passes
for another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bundles.errors import GooseError

BUNDLE = "goose-bundle@v1"
VOLUMES = "goose-volumes@v1"
TRUST = "goose-trust@v1"
RECEIPT = "goose-receipt@v1"
INSTALL = "goose-install@v1"
NAMESPACES = (BUNDLE, VOLUMES, TRUST, RECEIPT, INSTALL)

ALGORITHM = b"ssh-ed25519"
_MAGIC = b"SSHSIG"
_VERSION = 1
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_HASH = b"sha512"
_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
_WIDTH = 70  # characters of a line, as ssh-keygen writes
_MAX = 64 * 1024  # bytes of an armored signature


class SignatureMalformed(GooseError):
    """A signature is not of the SSHSIG form, or of an algorithm that is not taken."""

    code = "signature-malformed"
    default_hint = "get the signature again; ssh-keygen -Y sign with an Ed25519 key makes one"


class SignatureInvalid(GooseError):
    """A signature does not belong to what it came with."""

    code = "signature-invalid"
    default_hint = "what was signed, or the signature, was changed: get both again"


class WrongNamespace(GooseError):
    """A signature was made for another kind of document."""

    code = "wrong-namespace"
    default_hint = "do not use it: someone passes one kind of document off as another"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key. `raw` is its 32 bytes (RFC 8032)."""

    raw: bytes

    @property
    def wire(self) -> bytes:
        """The key as SSH sends it (RFC 8709, section 4)."""
        return _string(ALGORITHM) + _string(self.raw)

    @property
    def openssh(self) -> str:
        """The line of a .pub file, without comment."""
        return f"{ALGORITHM.decode()} {base64.b64encode(self.wire).decode()}"

    @property
    def fingerprint(self) -> str:
        """``SHA256:...`` as ssh-keygen -l prints it."""
        return fingerprint(self.wire)


@dataclass(frozen=True, slots=True)
class Signature:
    """A parsed signature; nothing about it is checked yet."""

    key: PublicKey
    namespace: str
    hash_algorithm: bytes
    blob: bytes  # the 64 bytes of Ed25519


class Signer(Protocol):
    """Holds a private key, or knows who does."""

    @property
    def public(self) -> PublicKey:
        """The key that checks what it signs."""

    def sign(self, data: bytes) -> bytes:
        """The 64-byte Ed25519 signature of `data`."""


def fingerprint(data: bytes) -> str:
    """``SHA256:`` and the unpadded base64 of the SHA-256 of `data`."""
    text = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return "SHA256:" + text.rstrip("=")


def sign(message: bytes, signer: Signer, namespace: str) -> bytes:
    """The armored signature of `message` by `signer` for `namespace`."""
    signed = _signed_data(message, namespace.encode(), _HASH)
    return _armor(signer.public, namespace.encode(), signer.sign(signed))


def signature_length(key: PublicKey, namespace: str) -> int:
    """Bytes of an armored signature by `key`: the same for every message."""
    return len(_armor(key, namespace.encode(), bytes(64)))


def verify(message: bytes, armored: bytes, namespace: str) -> PublicKey:
    """The key that signed `message` for `namespace`.

    Whether that key may sign is not asked here. Raises `SignatureMalformed`, `WrongNamespace` or
    `SignatureInvalid`.
    """
    signature = parse(armored)
    if signature.namespace != namespace:
        raise WrongNamespace(
            f"the signature by {signature.key.fingerprint} is for {signature.namespace!r},"
            f" not for {namespace!r}"
        )
    signed = _signed_data(message, namespace.encode(), signature.hash_algorithm)
    try:
        Ed25519PublicKey.from_public_bytes(signature.key.raw).verify(signature.blob, signed)
    except InvalidSignature as error:
        raise SignatureInvalid(
            f"the signature by {signature.key.fingerprint} does not match what it came with"
        ) from error
    return signature.key


def parse(armored: bytes) -> Signature:
    """What an armored signature says. Raises `SignatureMalformed`."""
    body = _dearmor(armored)
    if not body.startswith(_MAGIC):
        raise SignatureMalformed("the signature does not begin with SSHSIG")
    fields = _Fields(body[len(_MAGIC) :])
    if (version := fields.uint32()) != _VERSION:
        raise SignatureMalformed(f"the signature has version {version}, not {_VERSION}")
    key = read_public(fields.string())
    namespace, reserved, hashed = fields.string(), fields.string(), fields.string()
    inner = _Fields(fields.string())
    fields.end()
    if reserved:
        raise SignatureMalformed("the signature's reserved field is not empty")
    if hashed not in _HASHES:
        raise SignatureMalformed(f"the signature uses the hash {hashed!r}")
    algorithm, blob = inner.string(), inner.string()
    inner.end()
    if algorithm != ALGORITHM or len(blob) != 64:
        raise SignatureMalformed(f"the signature's algorithm is {algorithm!r}, not {ALGORITHM!r}")
    try:
        text = namespace.decode()
    except UnicodeDecodeError as error:
        raise SignatureMalformed("the signature's namespace is not UTF-8") from error
    if not text:
        raise SignatureMalformed("the signature's namespace is empty")
    return Signature(key, text, hashed, blob)


def read_public(wire: bytes) -> PublicKey:
    """The key in SSH's encoding. Raises `SignatureMalformed` for other algorithms."""
    fields = _Fields(wire)
    algorithm = fields.string()
    if algorithm != ALGORITHM:
        raise SignatureMalformed(
            f"the key's algorithm is {algorithm.decode('ascii', 'replace')!r}; only"
            f" {ALGORITHM.decode()} is taken",
            hint="make an Ed25519 key: goosectl key new NAME",
        )
    raw = fields.string()
    fields.end()
    if len(raw) != 32:
        raise SignatureMalformed(f"an Ed25519 key has 32 bytes, this one {len(raw)}")
    return PublicKey(raw)


def _signed_data(message: bytes, namespace: bytes, hashed: bytes) -> bytes:
    digest = _HASHES[hashed](message).digest()
    return _MAGIC + _string(namespace) + _string(b"") + _string(hashed) + _string(digest)


def _armor(key: PublicKey, namespace: bytes, blob: bytes) -> bytes:
    body = _MAGIC + _VERSION.to_bytes(4, "big") + _string(key.wire) + _string(namespace)
    body += _string(b"") + _string(_HASH) + _string(_string(ALGORITHM) + _string(blob))
    return _enclose(body)


def _enclose(body: bytes) -> bytes:
    text = base64.b64encode(body)
    lines = (text[at : at + _WIDTH] + b"\n" for at in range(0, len(text), _WIDTH))
    return _BEGIN + b"".join(lines) + _END


def _dearmor(armored: bytes) -> bytes:
    """The body; there is one armor for it, so that no signature has two spellings."""
    if len(armored) > _MAX:
        raise SignatureMalformed(f"the signature has {len(armored)} bytes; at most {_MAX}")
    if not armored.startswith(_BEGIN) or not armored.endswith(_END):
        raise SignatureMalformed("the signature is not enclosed in BEGIN and END SSH SIGNATURE")
    text = armored[len(_BEGIN) : -len(_END)].replace(b"\n", b"")
    if not re.fullmatch(rb"[A-Za-z0-9+/]*={0,2}", text):
        raise SignatureMalformed("the signature is not base64")
    try:
        body = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise SignatureMalformed(f"the signature is not base64: {error}") from error
    if _enclose(body) != armored:
        raise SignatureMalformed("the signature is not laid out as ssh-keygen writes it")
    return body


def _string(data: bytes) -> bytes:
    """RFC 4251, section 5: a length in four bytes, then the bytes."""
    return len(data).to_bytes(4, "big") + data


class _Fields:
    """Reads the fields of RFC 4251, section 5."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def uint32(self) -> int:
        if len(self._data) < 4:
            raise SignatureMalformed("the signature ends within a field")
        number, self._data = int.from_bytes(self._data[:4], "big"), self._data[4:]
        return number

    def string(self) -> bytes:
        length = self.uint32()
        if len(self._data) < length:
            raise SignatureMalformed("the signature ends within a field")
        field, self._data = self._data[:length], self._data[length:]
        return field

    def end(self) -> None:
        if self._data:
            raise SignatureMalformed("something follows the last field of the signature")
