"""Signing keys that no file holds: in an ssh-agent, in a FIDO token, behind PKCS#11.

``ssh-keygen -Y sign`` talks to them (ssh-keygen(1)); a passphrase, a PIN or a touch is asked for
on the terminal, past us. What it gives back is checked before it is used (`sshsig.sign`).
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from bundles.errors import GooseError, shown
from bundles.signing.sshkey import PublicKey

_PROGRAM = "ssh-keygen"
_PROBE = "goose-probe"  # the namespace of no document


class SigningFailed(GooseError):
    """The program that holds a key for us did not sign."""

    code = "signing-failed"
    default_hint = (
        "`ssh-add -l` lists the keys of the agent; a FIDO token must be there and touched"
    )


@dataclass(frozen=True, slots=True)
class ProgramSigner:
    """A key that ssh-keygen reaches; see `sshsig.Signer`.

    `path` is its .pub file, or the file by which a token is found. `terminal`: what ssh-keygen
    says goes to a person, who is to touch a token, and not into our error.
    """

    path: Path
    public: PublicKey
    terminal: bool = False

    def probe(self) -> None:
        """Whether it can sign: a build takes an hour, and signs last. A key in a token is not
        asked, for each question costs a touch. Raises `SigningFailed`."""
        if self.public.application is None:
            self.sign(b"", _PROBE)

    def sign(self, message: bytes, namespace: str) -> bytes:
        """The armored signature of `message` for `namespace`. Raises `SigningFailed`."""
        command = [_PROGRAM, "-Y", "sign", "-q", "-f", str(self.path), "-n", namespace]
        try:
            done = subprocess.run(
                command,
                input=message,
                stdout=subprocess.PIPE,
                stderr=None if self.terminal else subprocess.PIPE,
                check=False,
            )
        except OSError as error:
            raise SigningFailed(
                f"{_PROGRAM} cannot be run: {error.strerror}", hint="install OpenSSH's client"
            ) from error
        if done.returncode:
            words = (done.stderr or b"").decode("utf-8", "replace").strip()
            raise SigningFailed(
                f"{_PROGRAM} did not sign with {shown(self.path)}"
                + (f": {words}" if words else ""),
                file=str(self.path),
            )
        return done.stdout
