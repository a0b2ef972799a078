"""Key files, as OpenSSH and age have them.

A signing key signs and an age key receives; one is never used for the other, and each reader here
names the mistake when it meets the wrong kind.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bundles import sshsig
from bundles.errors import GooseError
from bundles.sshsig import PublicKey, Signer
from bundles.store import durable

__all__ = ["FileSigner", "Signer", "load_private", "load_public", "new_recipient", "new_signing"]

_AGE_SECRET = "AGE-SECRET-KEY-"
_AGE_PUBLIC = "age1"


class BadKey(GooseError):
    """A file that should hold a key does not hold one of the right kind."""

    code = "bad-key"


class KeyExists(GooseError):
    """A key would overwrite a file."""

    code = "key-exists"
    default_hint = "choose another name, or move the old key away first"


class PassphraseNeeded(GooseError):
    """A private key is protected by a passphrase that was not given, or is wrong."""

    code = "passphrase-needed"
    default_hint = "give the passphrase of the key"


@dataclass(frozen=True, slots=True)
class FileSigner:
    """A private key from a file; see `sshsig.Signer`."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.private.public_key().public_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data)


def new_signing(folder: Path, name: str, passphrase: str | None = None) -> tuple[Path, PublicKey]:
    """Writes a new Ed25519 key to `folder`: NAME (0600) and NAME.pub, as ssh-keygen does.

    Raises `KeyExists` or `BadKey`; then neither file is there.
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
    _write_pair(path, secret, folder / f"{name}.pub", f"{public.openssh} {name}\n".encode())
    return path, public


def new_recipient(folder: Path, name: str) -> tuple[Path, Path, str]:
    """Writes a new age key to `folder`: NAME.agekey (0600) and NAME.agepub.

    Returns both paths and the recipient. Raises `KeyExists` or `BadKey`.
    """
    from pyrage import x25519

    identity = x25519.Identity.generate()
    recipient = str(identity.to_public())
    secret = f"# public key: {recipient}\n{identity}\n".encode()
    paths = folder / f"{name}.agekey", folder / f"{name}.agepub"
    _write_pair(paths[0], secret, paths[1], f"{recipient}\n".encode())
    return *paths, recipient


def load_private(path: Path, passphrase: str | None = None) -> FileSigner:
    """The signing key at `path`.

    Raises `BadKey`, also when others may read the file, or `PassphraseNeeded`.
    """
    data = _read(path)
    if _AGE_SECRET.encode() in data:
        raise BadKey(
            f"{path} is an age key, which receives and cannot sign",
            hint="sign with an SSH key: goosectl key new NAME",
            file=str(path),
        )
    if os.stat(path).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadKey(f"{path} can be read by others", hint=f"run: chmod 600 {path}", file=str(path))
    try:
        key = serialization.load_ssh_private_key(data, passphrase.encode() if passphrase else None)
    except (ValueError, TypeError) as error:
        if "password" in str(error).lower() or (passphrase and b"OPENSSH PRIVATE KEY" in data):
            raise PassphraseNeeded(
                f"{path} is protected by a passphrase", file=str(path)
            ) from error
        raise BadKey(
            f"{path} is not an OpenSSH private key",
            hint="make one: goosectl key new NAME",
            file=str(path),
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey(
            f"{path} is not an Ed25519 key",
            hint="make one: goosectl key new NAME",
            file=str(path),
        )
    return FileSigner(key)


def load_public(path: Path) -> tuple[PublicKey, str]:
    """The public key at `path` (a .pub file) and its comment. Raises `BadKey`."""
    data = _read(path)
    if b"PRIVATE KEY" in data or _AGE_SECRET.encode() in data:
        raise BadKey(
            f"{path} holds a private key",
            hint="give the public part, the .pub file",
            file=str(path),
        )
    if data.startswith(_AGE_PUBLIC.encode()):
        raise BadKey(
            f"{path} is an age recipient, which receives and cannot sign",
            hint="give the .pub file of a signing key",
            file=str(path),
        )
    try:
        return parse_public(data.decode())
    except (UnicodeDecodeError, BadKey) as error:
        hint = "give the .pub file of an Ed25519 key: one line that begins with ssh-ed25519"
        raise BadKey(f"{path} is not a public key", hint=hint, file=str(path)) from error


def parse_public(line: str) -> tuple[PublicKey, str]:
    """The key and comment of a line ``ssh-ed25519 BASE64 [COMMENT]``. Raises `BadKey`."""
    words = line.strip().split(maxsplit=2)
    if len(words) < 2 or "\n" in line.strip():
        raise BadKey("not a public key line")
    try:
        key = sshsig.read_public(base64.b64decode(words[1], validate=True))
    except (binascii.Error, sshsig.SignatureMalformed) as error:
        raise BadKey(f"not an Ed25519 public key: {error}") from error
    if key.openssh != f"{words[0]} {words[1]}":
        raise BadKey("the key's base64 is not in its one spelling")
    return key, words[2] if len(words) > 2 else ""


def describe(path: Path) -> dict[str, str | None]:
    """What the key file at `path` is: its `kind`, and `fingerprint` or `recipient`; no secret.

    Raises `BadKey` or `PassphraseNeeded`.
    """
    data = _read(path)
    if data.startswith(_AGE_PUBLIC.encode()):
        return {"kind": "age recipient", "recipient": data.decode("ascii", "replace").strip()}
    if _AGE_SECRET.encode() in data:
        return {"kind": "age identity", "recipient": _recipient_of(path, data)}
    if b"PRIVATE KEY" in data:
        key, comment = load_private(path).public, ""
        kind = "private signing key"
    else:
        key, comment = load_public(path)
        kind = "public signing key"
    return {"kind": kind, "fingerprint": key.fingerprint, "comment": comment or None}


def _recipient_of(path: Path, data: bytes) -> str:
    from pyrage import IdentityError, x25519

    lines = [line for line in data.decode("utf-8", "replace").splitlines() if line]
    secrets = [line for line in lines if line.startswith(_AGE_SECRET)]
    try:
        return str(x25519.Identity.from_str(secrets[0]).to_public())
    except (IdentityError, IndexError) as error:
        raise BadKey(f"{path} is not a whole age identity", file=str(path)) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadKey(f"{path}: {error.strerror}", file=str(path)) from error


def _write_pair(secret_path: Path, secret: bytes, public_path: Path, public: bytes) -> None:
    """Writes both files, or neither; the secret last, for it cannot be made again."""
    for path in (secret_path, public_path):
        if path.exists():
            raise KeyExists(f"{path} is already there", file=str(path))
    try:
        secret_path.parent.mkdir(parents=True, exist_ok=True)
        durable.replace_file(public_path, public)
        try:
            durable.replace_file(secret_path, secret, 0o600)
        except OSError:
            public_path.unlink()
            raise
    except OSError as error:
        raise BadKey(f"{error.filename}: {error.strerror}", hint="choose another --out") from error
