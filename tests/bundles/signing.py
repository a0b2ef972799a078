"""Signers and ssh-keygen for tests of signatures and trust."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bundles.signing import sshsig
from bundles.signing.keys import FileSigner
from bundles.signing.sshkey import PublicKey
from tests.parts import part

MESSAGE = b'{"a":"message"}'


def signer(number: int) -> FileSigner:
    """Always the same signer for a number below 256."""
    return FileSigner(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


@dataclass(frozen=True, slots=True)
class Token:
    """What a FIDO token does (OpenSSH, PROTOCOL.u2f), without the token."""

    private: Ed25519PrivateKey
    flags: int = 0x01  # touched
    application: bytes = b"ssh:"

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.private.public_key().public_bytes_raw(), self.application)

    def sign(self, message: bytes, namespace: str) -> bytes:
        return sshsig.assemble(message, namespace, self.public, self._sign)

    def _sign(self, data: bytes) -> bytes:
        state = bytes([self.flags]) + (7).to_bytes(4, "big")
        application = hashlib.sha256(self.application).digest()
        return self.private.sign(application + state + hashlib.sha256(data).digest()) + state


def ssh_keygen(*args: str | Path, stdin: bytes = b"", cwd: Path | None = None) -> str:
    """What ssh-keygen says; raises CalledProcessError when it refuses."""
    command = [part("ssh-keygen"), *args]
    done = subprocess.run(command, input=stdin, cwd=cwd, capture_output=True, check=True)
    return done.stdout.decode() + done.stderr.decode()


def ssh_verify(
    folder: Path,
    allowed: str,
    name: str,
    armored: bytes,
    namespace: str,
    *options: str,
    message: bytes = MESSAGE,
) -> bool:
    """Whether ``ssh-keygen -Y verify`` accepts a signature of `name` by an allowed_signers file."""
    (folder / "allowed").write_text(allowed)
    (folder / "signature").write_bytes(armored)
    files = ("-f", folder / "allowed", "-s", folder / "signature")
    try:
        ssh_keygen("-Y", "verify", *files, "-I", name, "-n", namespace, *options, stdin=message)
    except subprocess.CalledProcessError:
        return False
    return True
