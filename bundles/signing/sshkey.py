"""Public keys as SSH writes them, and what they can check.

Two algorithms are taken: ``ssh-ed25519`` (RFC 8709) and ``sk-ssh-ed25519@openssh.com``, an Ed25519
key that lives in a FIDO token (OpenSSH, PROTOCOL.u2f). Any other is refused by name. Everything
here takes bytes and does no I/O.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bundles.errors import GooseError

ED25519 = b"ssh-ed25519"
FIDO_ED25519 = b"sk-ssh-ed25519@openssh.com"

_KEY_SIZE = 32  # bytes, RFC 8032
_SIGNATURE_SIZE = 64
_TOKEN_SIZE = 5  # flags in one byte, a counter in four
_USER_PRESENT = 0x01


class UnsupportedKey(GooseError):
    """A key is of an algorithm that goose does not take."""

    code = "unsupported-key"
    default_hint = "use an Ed25519 key: goosectl key new NAME, or ssh-keygen -t ed25519[-sk]"


class WireError(ValueError):
    """Bytes that do not follow SSH's encoding; readers turn it into their own refusal."""


class Fields:
    """Reads fields of RFC 4251, section 5, one after another. Each raises `WireError`."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        if len(self._data) < length:
            raise WireError("it ends within a field")
        field, self._data = self._data[:length], self._data[length:]
        return field

    def uint32(self) -> int:
        """A number in four bytes."""
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        """A length in four bytes, then as many bytes."""
        return self.take(self.uint32())

    def end(self) -> None:
        """Nothing may follow."""
        if self._data:
            raise WireError("something follows its last field")


def string(data: bytes) -> bytes:
    """`data` as a string of RFC 4251, section 5."""
    return len(data).to_bytes(4, "big") + data


def fingerprint(data: bytes) -> str:
    """``SHA256:`` and the unpadded base64 of the SHA-256 of `data`."""
    text = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return "SHA256:" + text.rstrip("=")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key: `raw` is its 32 bytes (RFC 8032).

    `application` is set for a key in a FIDO token, and part of what the token signs.
    """

    raw: bytes
    application: bytes | None = None

    @classmethod
    def parse(cls, wire: bytes) -> PublicKey:
        """The key that `wire` encodes. Raises `WireError` or `UnsupportedKey`."""
        fields = Fields(wire)
        algorithm = fields.string()
        if algorithm not in (ED25519, FIDO_ED25519):
            name = algorithm[:64].decode("ascii", "backslashreplace")
            raise UnsupportedKey(
                f"the key {fingerprint(wire)} is of algorithm {name!r}, which is not taken",
                fingerprint=fingerprint(wire),
            )
        raw = fields.string()
        application = fields.string() if algorithm == FIDO_ED25519 else None
        fields.end()
        if len(raw) != _KEY_SIZE:
            raise WireError(f"an Ed25519 key has {_KEY_SIZE} bytes, this one {len(raw)}")
        return cls(raw, application)

    @property
    def algorithm(self) -> bytes:
        """SSH's name of the key's algorithm, and of that of its signatures."""
        return ED25519 if self.application is None else FIDO_ED25519

    @property
    def wire(self) -> bytes:
        """The key as SSH sends it (RFC 8709, section 4; PROTOCOL.u2f, "SSH U2F Key formats")."""
        tail = b"" if self.application is None else string(self.application)
        return string(self.algorithm) + string(self.raw) + tail

    @property
    def openssh(self) -> str:
        """The line of a .pub file, without comment."""
        return f"{self.algorithm.decode()} {base64.b64encode(self.wire).decode()}"

    @property
    def fingerprint(self) -> str:
        """``SHA256:...`` as ssh-keygen -l prints it."""
        return fingerprint(self.wire)

    @property
    def signature_size(self) -> int:
        """Bytes of any signature by this key, as `encode_signature` takes them."""
        return _SIGNATURE_SIZE + (0 if self.application is None else _TOKEN_SIZE)

    def encode_signature(self, signature: bytes) -> bytes:
        """`signature` as SSH sends it: its algorithm's name, then for a token's key also its
        flags and counter."""
        plain, token = signature[:_SIGNATURE_SIZE], signature[_SIGNATURE_SIZE:]
        return string(self.algorithm) + string(plain) + token

    def decode_signature(self, wire: bytes) -> bytes:
        """The inverse of `encode_signature`. Raises `WireError`."""
        fields = Fields(wire)
        if (algorithm := fields.string()) != self.algorithm:
            raise WireError(f"a key of {self.algorithm!r} does not sign with {algorithm[:64]!r}")
        signature = fields.string()
        if len(signature) != _SIGNATURE_SIZE:
            raise WireError(f"an Ed25519 signature has {_SIGNATURE_SIZE} bytes")
        signature += fields.take(self.signature_size - _SIGNATURE_SIZE)
        fields.end()
        return signature

    def has_signed(self, data: bytes, signature: bytes) -> bool:
        """Whether `signature`, as `decode_signature` gives it, is this key's over `data`.

        A token must also state that someone touched it; ssh-keygen does not ask for that, sshd
        does.
        """
        plain, token = signature[:_SIGNATURE_SIZE], signature[_SIGNATURE_SIZE:]
        if self.application is not None:
            if not token[0] & _USER_PRESENT:
                return False
            application = hashlib.sha256(self.application).digest()
            data = application + token + hashlib.sha256(data).digest()
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(plain, data)
        except InvalidSignature:
            return False
        return True
