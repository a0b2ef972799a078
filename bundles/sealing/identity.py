"""Identities: the secret keys that open sealed volumes, an age key or an SSH key.

Source: the age format specification (C2SP, age.md), "X25519 recipient type"; for SSH keys, which
it leaves out, age's own agessh. Each key unwraps its stanza of a header; the cryptography is
OpenSSL's, through `cryptography`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bundles.files import keyfile
from bundles.files.keyfile import BadKey
from bundles.sealing.agefile import BadAgeFile, Stanza, decode_base64, derive
from bundles.signing import agekey
from bundles.signing.keys import PassphraseNeeded, WrongPassphrase

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from bundles.sealing.agefile import Unwrapper

_PUBLIC = (b"ssh-", b"ecdsa-", b"sk-")  # how a line of a .pub file begins
_WRAPPED = 32  # bytes of a file key and its tag
_SHARE = 32
_X25519 = b"age-encryption.org/v1/X25519"
_SSH_ED25519 = b"age-encryption.org/v1/ssh-ed25519"
_SSH_RSA = b"age-encryption.org/v1/ssh-rsa"


class X25519Key:
    """An age key; `word` is its text, ``AGE-SECRET-KEY-1...``, which pyrage has found good."""

    def __init__(self, word: str) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        self._key = X25519PrivateKey.from_private_bytes(agekey.secret_bytes(word))
        self._public = self._key.public_key().public_bytes_raw()

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """See `agefile.Unwrapper`."""
        if stanza.kind != "X25519":
            return None
        share = _share(stanza, 0, 1)
        shared = _exchange(self._key, share)
        return _decrypt(derive(shared, share + self._public, _X25519), stanza.body)


class SshEd25519Key:
    """An SSH key of type Ed25519, used as the X25519 key that belongs to it."""

    def __init__(self, key: Ed25519PrivateKey, wire: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        secret = hashlib.sha512(key.private_bytes_raw()).digest()[:32]  # RFC 8032, 5.1.5
        self._key = X25519PrivateKey.from_private_bytes(secret)
        self._public = self._key.public_key().public_bytes_raw()
        self._tag = _tag(wire)
        self._tweak = X25519PrivateKey.from_private_bytes(derive(b"", wire, _SSH_ED25519))

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """See `agefile.Unwrapper`."""
        if stanza.kind != "ssh-ed25519":
            return None
        share = _share(stanza, 1, 2)
        if stanza.arguments[0] != self._tag:
            return None
        shared = _exchange(self._tweak, _exchange(self._key, share))
        return _decrypt(derive(shared, share + self._public, _SSH_ED25519), stanza.body)


class SshRsaKey:
    """An SSH key of type RSA."""

    def __init__(self, key: RSAPrivateKey, wire: bytes) -> None:
        self._key, self._tag = key, _tag(wire)

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """See `agefile.Unwrapper`."""
        from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
        from cryptography.hazmat.primitives.hashes import SHA256

        if stanza.kind != "ssh-rsa" or stanza.arguments != (self._tag,):
            return None
        try:
            return self._key.decrypt(stanza.body, OAEP(MGF1(SHA256()), SHA256(), _SSH_RSA))
        except ValueError:
            raise BadAgeFile("its header was changed") from None


def read(path: Path, ask: Callable[[Path], str] | None = None) -> list[Unwrapper]:
    """The identities that a file holds: age secret keys or one SSH private key; `ask` is called
    for its passphrase, when it has one.

    Raises `BadKey`, `KeyExposed`, `PassphraseNeeded` or `WrongPassphrase`.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    data = keyfile.read(path)  # a wrong kind is the first complaint
    if data.startswith(_PUBLIC) or agekey.is_recipient(data):
        raise BadKey(
            f"{path} is a public key: it seals, and opens nothing",
            hint="give the private file that belongs to it",
            file=str(path),
        )
    data = keyfile.read_secret(path)
    try:
        if agekey.is_secret(data):
            lines = data.decode("ascii").splitlines()
            return [X25519Key(line) for line in lines if line and not line.startswith("#")]
        return [_ssh(data, path, ask)]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey(
            f"{path} holds no identity that opens sealed volumes",
            hint="give a .agekey file, or an SSH private key (Ed25519 or RSA)",
            file=str(path),
        ) from error


def _ssh(data: bytes, path: Path, ask: Callable[[Path], str] | None) -> Unwrapper:
    """Raises ValueError, TypeError or UnsupportedAlgorithm when it is none that opens."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = _load(data, None)
    if key is None:
        if ask is None:
            raise PassphraseNeeded(f"{path} is protected by a passphrase", file=str(path))
        try:
            key = _load(data, ask(path).encode())
        except ValueError as error:
            raise WrongPassphrase(
                f"{path}: wrong passphrase", hint="try again; nothing was opened", file=str(path)
            ) from error
    if not isinstance(key, Ed25519PrivateKey | RSAPrivateKey):
        raise ValueError("neither Ed25519 nor RSA")
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    wire = base64.b64decode(public.split()[1])
    return SshEd25519Key(key, wire) if isinstance(key, Ed25519PrivateKey) else SshRsaKey(key, wire)


def _load(data: bytes, passphrase: bytes | None) -> object:
    """An SSH private key; None where it has a passphrase and none is given."""
    from cryptography.hazmat.primitives import serialization

    openssh = data.lstrip().startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    try:
        return load(data, passphrase)
    except TypeError:  # so the library says that a passphrase is missing
        return None


def _tag(wire: bytes) -> str:
    """By what a stanza names the SSH key that it is for."""
    return base64.b64encode(hashlib.sha256(wire).digest()[:4]).decode().rstrip("=")


def _share(stanza: Stanza, at: int, count: int) -> bytes:
    """The sender's one-time public key, from a stanza that must have `count` arguments."""
    if len(stanza.arguments) != count or len(stanza.body) != _WRAPPED:
        raise BadAgeFile(f"its header holds a bad stanza {stanza.kind}")
    share = decode_base64(stanza.arguments[at])
    if len(share) != _SHARE:
        raise BadAgeFile(f"its header holds a bad stanza {stanza.kind}")
    return share


def _exchange(key: X25519PrivateKey, share: bytes) -> bytes:
    """The shared secret (RFC 7748); one that an attacker could choose is refused."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    try:
        return key.exchange(X25519PublicKey.from_public_bytes(share))
    except ValueError:
        raise BadAgeFile("its header holds a key of low order") from None


def _decrypt(key: bytes, wrapped: bytes) -> bytes | None:
    """A wrapped file key; None when it is wrapped for another."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), wrapped, None)
    except InvalidTag:
        return None
