"""Signing keys: Ed25519, in the files of OpenSSH (PROTOCOL.key).

A signing key signs and an age key receives; one is never used for the other, and each reader here
names the mistake when it meets the wrong kind.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bundles.errors import GooseError
from bundles.files import keyfile
from bundles.files.keyfile import BadKey
from bundles.signing import agekey, sshsig
from bundles.signing.sshkey import Fields, PublicKey, UnsupportedKey, WireError
from bundles.signing.sshprogram import ProgramSigner
from bundles.signing.sshsig import Signer

__all__ = [
    "FileSigner",
    "Signer",
    "load_private",
    "load_public",
    "load_signer",
    "new_signing",
    "parse_public",
]

_BEGIN = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_CONTAINER = re.compile(_BEGIN + rb"\n([A-Za-z0-9+/=\n]+)-----END OPENSSH PRIVATE KEY-----\n*")
_MAGIC = b"openssh-key-v1\x00"
_NEW = "make one: goosectl key new NAME"


class PassphraseNeeded(GooseError):
    """A private key is protected by a passphrase, and none was given."""

    code = "passphrase-needed"
    default_hint = "run it on a terminal, where it can be asked for"


class WrongPassphrase(GooseError):
    """The passphrase given does not open the private key."""

    code = "wrong-passphrase"
    default_hint = "try again; nothing was signed"


@dataclass(frozen=True, slots=True)
class FileSigner:
    """A private key that was read from a file; see `sshsig.Signer`."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """The key that checks what it signs."""
        return PublicKey(self.private.public_key().public_bytes_raw())

    def sign(self, message: bytes, namespace: str) -> bytes:
        """The armored signature of `message` for `namespace`."""
        return sshsig.assemble(message, namespace, self.public, self.private.sign)


def new_signing(folder: Path, name: str, passphrase: str | None = None) -> tuple[Path, PublicKey]:
    """Writes a new key to `folder`: NAME (0600) and NAME.pub with NAME as its comment.

    Raises `KeyExists` or `KeyNotWritten`; then neither file is there.
    """
    private = Ed25519PrivateKey.generate()
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        protection = serialization.BestAvailableEncryption(passphrase.encode())
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, protection
    )
    public = PublicKey(private.public_key().public_bytes_raw())
    path = folder / name
    text = f"{public.openssh} {name}\n".encode()
    keyfile.write_pair(path, secret, folder / f"{name}.pub", text)
    return path, public


def load_signer(
    path: Path, ask: Callable[[Path], str] | None = None, terminal: bool = False
) -> Signer:
    """The signer that `path` names: a private key file; the .pub file of a key that an agent
    holds; or the private file of a key in a FIDO token. `terminal` as in `ProgramSigner`.

    Raises what `load_private` raises, and `SigningFailed`.
    """
    data = keyfile.read(path)
    if data.startswith((b"ssh-", b"sk-", b"ecdsa-")):
        signer = ProgramSigner(path, load_public(path)[0], terminal)
        signer.probe()
        return signer
    public, _ = _read_container(path, data)
    if public.application is not None:
        keyfile.read_secret(path)  # as strict about its mode as about any other's
        return ProgramSigner(path, public, terminal)
    return load_private(path, ask)


def load_private(path: Path, ask: Callable[[Path], str] | None = None) -> FileSigner:
    """The signing key at `path`; `ask` is called for its passphrase, when it has one.

    Raises `BadKey`, `KeyExposed`, `UnsupportedKey`, `PassphraseNeeded` or `WrongPassphrase`.
    """
    _, protected = _read_container(path, keyfile.read(path))  # a wrong kind is the first complaint
    data = keyfile.read_secret(path)
    passphrase = None
    if protected:
        if ask is None:
            raise PassphraseNeeded(f"{path} is protected by a passphrase", file=str(path))
        passphrase = ask(path).encode()
    try:
        key = serialization.load_ssh_private_key(data, passphrase)
    except (ValueError, TypeError) as error:
        if protected:
            raise WrongPassphrase(f"{path}: wrong passphrase", file=str(path)) from error
        raise BadKey(f"{path} is damaged", hint=_NEW, file=str(path)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey(
            f"{path} only points to a key in a token, which cannot be used as a file",
            hint="plug the token in where it is to sign",
            file=str(path),
        )
    return FileSigner(key)


def load_public(path: Path) -> tuple[PublicKey, str]:
    """The public key at `path` (a .pub file) and its comment. Raises `BadKey`, `UnsupportedKey`."""
    data = keyfile.read(path)
    if b"PRIVATE KEY" in data or agekey.is_secret(data):
        raise BadKey(
            f"{path} holds a private key",
            hint="give the public part, the .pub file",
            file=str(path),
        )
    if agekey.is_recipient(data):
        raise BadKey(
            f"{path} is an age recipient: age keys receive, they never sign",
            hint="give the .pub file of a signing key",
            file=str(path),
        )
    try:
        return parse_public(data.decode())
    except (UnicodeDecodeError, WireError) as error:
        hint = "give the .pub file of an Ed25519 key: one line that begins with ssh-ed25519"
        raise BadKey(f"{path} is not a public key: {error}", hint=hint, file=str(path)) from error


def parse_public(line: str) -> tuple[PublicKey, str]:
    """The key and comment of a line ``ssh-ed25519 BASE64 [COMMENT]``.

    Raises `WireError` or `UnsupportedKey`.
    """
    words = line.strip().split(maxsplit=2)
    if len(words) < 2 or len(line.strip().splitlines()) > 1:
        raise WireError("it is not one line of algorithm, key and comment")
    try:
        key = PublicKey.parse(base64.b64decode(words[1], validate=True))
    except (binascii.Error, ValueError) as error:
        raise WireError(f"its key is not readable: {error}") from error
    if key.openssh != f"{words[0]} {words[1]}":
        raise WireError("its key is not of the algorithm or the spelling that it should be")
    return key, words[2] if len(words) > 2 else ""


def describe(path: Path) -> dict[str, str | None]:
    """What the key file at `path` is: its `kind`, and `fingerprint` or `recipient`; no secret.

    Needs no passphrase. Raises `BadKey` or `UnsupportedKey`.
    """
    data = keyfile.read(path)
    if agekey.is_secret(data):
        return {"kind": "private age key: receives", "recipient": agekey.recipient_of(path)}
    if agekey.is_recipient(data):
        return {"kind": "public age key: receives", "recipient": agekey.recipient_of(path)}
    if b"PRIVATE KEY" in data:
        key, protected = _read_container(path, data)
        with_passphrase = "with" if protected else "without"
        kind = f"private signing key {with_passphrase} passphrase"
        if key.application is not None:
            kind = "signing key in a FIDO token, which this file only finds"
        return {"kind": kind, "fingerprint": key.fingerprint, "comment": None}
    key, comment = load_public(path)
    return {
        "kind": "public signing key" + (" in a FIDO token" if key.application else ""),
        "fingerprint": key.fingerprint,
        "comment": comment or None,
    }


def _read_container(path: Path, data: bytes) -> tuple[PublicKey, bool]:
    """The public part of a private key file, and whether the private part has a passphrase."""
    if agekey.is_secret(data):
        raise BadKey(
            f"{path} is an age key: age keys receive, they never sign",
            hint=f"sign with a signing key; {_NEW}",
            file=str(path),
        )
    if data.startswith((b"ssh-", b"sk-", b"ecdsa-")):
        raise BadKey(
            f"{path} is a public key, which cannot sign",
            hint="give the private file: the same name without .pub",
            file=str(path),
        )
    if not (found := _CONTAINER.fullmatch(data)):
        raise BadKey(f"{path} is not an OpenSSH private key", hint=_NEW, file=str(path))
    try:
        body = base64.b64decode(found[1].replace(b"\n", b""), validate=True)
        fields = Fields(body)
        if fields.take(len(_MAGIC)) != _MAGIC:
            raise WireError("it is not of version 1")
        cipher, _, _ = fields.string(), fields.string(), fields.string()
        if fields.uint32() != 1:
            raise WireError("it does not hold one key")
        return PublicKey.parse(fields.string()), cipher != b"none"
    except UnsupportedKey as error:
        raise UnsupportedKey(f"{path}: {error.message}", file=str(path)) from error
    except ValueError as error:
        raise BadKey(f"{path} is damaged: {error}", hint=_NEW, file=str(path)) from error
