"""SSH signatures: made and checked so that ``ssh-keygen -Y`` takes ours and we take its.

Source: OpenSSH, PROTOCOL.sshsig. Everything here takes bytes, never paths, and does no I/O. Where
the protocol leaves room this reader takes one spelling only, so that no signature has a second
form: the armor is byte for byte the one that ssh-keygen writes, and the reserved field, which no
signature covers, is empty.

The namespace says what kind of document is signed, so that a signature of one kind never passes
for another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bundles.errors import GooseError
from bundles.signing.sshkey import Fields, PublicKey, WireError, string

BUNDLE = "goose-bundle@v1"
VOLUMES = "goose-volumes@v1"
TRUST = "goose-trust@v1"
RECEIPT = "goose-receipt@v1"
INSTALL = "goose-install@v1"
NAMESPACES = (BUNDLE, INSTALL, RECEIPT, TRUST, VOLUMES)  # that a trust root may give
MACHINE = "goose-machine@v1"  # the site's own word, which no trust root gives to anybody

MAX_SIGNATURE = 16 * 1024  # bytes of an armored signature; an Ed25519 one has about 300

_MAGIC = b"SSHSIG"
_VERSION = 1
_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
_HASH = "sha512"  # ssh-keygen's default
_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
_WIDTH = 70  # characters of a line, as ssh-keygen writes


class SignatureMalformed(GooseError):
    """A signature is not of the one form that an SSH signature has."""

    code = "signature-malformed"
    default_hint = "it was damaged on its way: get the signature again"


class SignatureInvalid(GooseError):
    """A signature does not belong to what it came with."""

    code = "signature-invalid"
    default_hint = "what was signed, or the signature, was changed: get both again"


class WrongNamespace(GooseError):
    """A signature was made for another kind of document."""

    code = "wrong-namespace"
    default_hint = "do not use it: someone passes one kind of document off as another"


class Signer(Protocol):
    """Holds a private key, or knows a program or a token that does."""

    @property
    def public(self) -> PublicKey:
        """The key that checks what it signs."""

    def sign(self, message: bytes, namespace: str) -> bytes:
        """The armored signature of `message` for `namespace`; see `assemble`."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a signature says of itself; only `check` makes it true."""

    key: PublicKey
    namespace: str
    hash_algorithm: str
    value: bytes  # as `PublicKey.decode_signature` gives it

    def check(self, message: bytes, namespace: str) -> None:
        """Raises `WrongNamespace` or `SignatureInvalid` unless it is the key's over `message`."""
        if self.namespace != namespace:
            raise WrongNamespace(
                f"the signature by {self.key.fingerprint} is for {self.namespace!r},"
                f" not for {namespace!r}",
                fingerprint=self.key.fingerprint,
            )
        if not self.key.has_signed(_signed(message, namespace, self.hash_algorithm), self.value):
            raise SignatureInvalid(
                f"the signature by {self.key.fingerprint} does not match what it came with",
                fingerprint=self.key.fingerprint,
            )


def sign(message: bytes, signer: Signer, namespace: str) -> bytes:
    """The armored signature of `message` by `signer` for `namespace`.

    It is checked before it is given out: a signer may be a program, or a chip that fails. Raises
    what `verify` raises, and what the signer does.
    """
    armored = signer.sign(message, namespace)
    if (key := verify(message, armored, namespace)) != signer.public:
        raise SignatureInvalid(
            f"asked for a signature by {signer.public.fingerprint}, got one by {key.fingerprint}",
            hint="the signing program used another key than the one it was told",
        )
    return armored


def assemble(
    message: bytes, namespace: str, key: PublicKey, primitive: Callable[[bytes], bytes]
) -> bytes:
    """The armored signature of whoever can compute `primitive`, the plain signature of `key`."""
    return _armor(key, namespace, primitive(_signed(message, namespace, _HASH)))


def signature_length(key: PublicKey, namespace: str) -> int:
    """Bytes of an armored signature by `key`: the same for every message."""
    return len(_armor(key, namespace, bytes(key.signature_size)))


def verify(message: bytes, armored: bytes, namespace: str) -> PublicKey:
    """The key that signed `message` for `namespace`.

    Whether that key may sign is not asked here; `TrustRoot.authorise` does. Raises
    `SignatureMalformed`, `UnsupportedKey`, `WrongNamespace` or `SignatureInvalid`.
    """
    signature = parse(armored)
    signature.check(message, namespace)
    return signature.key


def parse(armored: bytes) -> Signature:
    """What an armored signature says. Raises `SignatureMalformed` or `UnsupportedKey`."""
    try:
        return _read(_dearmor(armored))
    except WireError as error:
        raise SignatureMalformed(f"the signature is malformed: {error}") from error


def _read(body: bytes) -> Signature:
    fields = Fields(body)
    if fields.take(len(_MAGIC)) != _MAGIC:
        raise WireError("it does not begin with SSHSIG")
    if (version := fields.uint32()) != _VERSION:
        raise WireError(f"it has version {version}, not {_VERSION}")
    key_wire = fields.string()
    namespace, reserved, hashed = fields.string(), fields.string(), fields.string()
    value_wire = fields.string()
    fields.end()
    if reserved:
        raise WireError("its reserved field is not empty")
    try:
        namespace_text, hash_text = namespace.decode("ascii"), hashed.decode("ascii")
    except UnicodeDecodeError as error:
        raise WireError("its namespace or hash is not ASCII") from error
    if not namespace_text.isprintable() or not namespace_text:
        raise WireError(f"its namespace is {namespace_text!r}")
    if hash_text not in _HASHES:
        raise WireError(f"its hash is {hash_text!r}, which the protocol does not have")
    key = PublicKey.parse(key_wire)
    return Signature(key, namespace_text, hash_text, key.decode_signature(value_wire))


def _signed(message: bytes, namespace: str, hash_algorithm: str) -> bytes:
    """What is really signed (PROTOCOL.sshsig, "Signed Data, of which the signature goes...")."""
    digest = _HASHES[hash_algorithm](message).digest()
    hashed = string(hash_algorithm.encode()) + string(digest)
    return _MAGIC + string(namespace.encode()) + string(b"") + hashed


def _armor(key: PublicKey, namespace: str, value: bytes) -> bytes:
    body = _MAGIC + _VERSION.to_bytes(4, "big") + string(key.wire) + string(namespace.encode())
    body += string(b"") + string(_HASH.encode()) + string(key.encode_signature(value))
    return _enclose(body)


def _enclose(body: bytes) -> bytes:
    text = base64.b64encode(body)
    lines = (text[at : at + _WIDTH] + b"\n" for at in range(0, len(text), _WIDTH))
    return _BEGIN + b"".join(lines) + _END


def _dearmor(armored: bytes) -> bytes:
    """What the armor holds, when it is the one armor that this has."""
    if len(armored) > MAX_SIGNATURE:
        raise WireError(f"it has {len(armored)} bytes; at most {MAX_SIGNATURE} are read")
    if not armored.startswith(_BEGIN) or not armored.endswith(_END):
        raise WireError("it does not begin and end with the lines of an SSH signature")
    text = armored[len(_BEGIN) : -len(_END)].replace(b"\n", b"")
    try:
        body = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise WireError(f"it is not base64: {error}") from error
    if _enclose(body) != armored:
        raise WireError("it is not laid out as ssh-keygen writes it")
    return body
