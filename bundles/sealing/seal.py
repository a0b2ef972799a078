"""Sealed volumes: age encryption around a volume, so that only its recipients can read it.

Source: the age format specification (C2SP, age.md). Sealing says nothing of origin, for anyone can
seal to a public recipient: what is inside is signed, and checked after opening exactly as an open
volume is. No plaintext touches the disk. Why one pass is enough, and which part is whose:
docs/adr/0010-sealing-in-one-pass.md.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bundles.errors import GooseError
from bundles.files import buffers, keyfile
from bundles.files.keyfile import BadKey
from bundles.files.pending import PendingFile
from bundles.sealing import agefile
from bundles.sealing.agefile import CHUNK, SEALED_CHUNK, TAG
from bundles.signing import agekey

if TYPE_CHECKING:
    from pyrage import ssh, x25519

SUFFIX = ".age"
_RUN = 16  # chunks sealed before they are written

Recipient: TypeAlias = "x25519.Recipient | ssh.Recipient"


class SealFailed(GooseError):
    """A volume cannot be sealed."""

    code = "seal-failed"


def recipient(text: str) -> Recipient:
    """The recipient that `text` is, or that the file of this name holds: ``age1...``, an OpenSSH
    public key line (Ed25519 or RSA), a .agepub or .pub file. Raises `BadKey`."""
    from pyrage import RecipientError, ssh, x25519

    word = text.strip()
    if not word.startswith(("age1", "ssh-")):
        path = Path(text)
        data = keyfile.read(path)
        word = data.decode("ascii", "replace").strip()
        if agekey.is_secret(data):
            raise BadKey(
                f"{path} holds the secret key of a recipient",
                hint="give its public part, the .agepub file; the secret stays at its site",
                file=str(path),
            )
        if agekey.is_recipient(data):
            word = agekey.recipient_of(path)
    try:
        if word.startswith("age1"):
            return x25519.Recipient.from_str(word)
        return ssh.Recipient.from_str(word)
    except RecipientError as error:
        raise BadKey(
            f"{text} is not a recipient",
            hint="give age1..., an ssh-ed25519 or ssh-rsa key, or the file of one",
        ) from error


class SealedFile(PendingFile):
    """A sealed volume on its way to the disk.

    age seals each 64 KiB for itself and marks the last, so that nobody cuts the file short: one
    chunk is held back until more comes, or the end. Raises `SealFailed`.
    """

    def __init__(self, path: Path, recipients: Sequence[Recipient]) -> None:
        header, file_key = _header(recipients, path)
        super().__init__(path)
        nonce = os.urandom(agefile.NONCE)
        self._front = header + nonce
        self._payload = agefile.Payload(file_key, nonce)
        self._chunks = 0  # sealed so far: each has its own number, so no nonce serves twice
        self._held = bytearray()  # at most one chunk
        self._sealed = buffers.aligned(_RUN * SEALED_CHUNK)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `PendingFile`."""
        with memoryview(data) as view:
            done = 0
            while done < len(view):
                if not self._held and (whole := min((len(view) - done - 1) // CHUNK, _RUN)):
                    self._seal([view[done + i * CHUNK :][:CHUNK] for i in range(whole)])
                    done += whole * CHUNK
                    continue
                if len(self._held) == CHUNK:
                    self._seal_held(last=False)
                    continue
                part = view[done : done + CHUNK - len(self._held)]
                self._held += part
                done += len(part)

    def end(self) -> str:
        """See `PendingFile`."""
        self._seal_held(last=True)
        return super().end()

    def _seal_held(self, last: bool) -> None:
        held, self._held = self._held, bytearray()
        self._seal([memoryview(held)], last)

    def _seal(self, chunks: Sequence[memoryview], last: bool = False) -> None:
        """Seals and writes the next chunks."""
        super().write(self._front)
        self._front = b""
        end = 0
        for chunk in chunks:
            start, end = end, end + len(chunk) + TAG
            self._payload.seal(self._chunks, chunk, last, self._sealed[start:end])
            self._chunks += 1
        super().write(self._sealed[:end])


def _header(recipients: Sequence[Recipient], path: Path) -> tuple[bytes, bytes]:
    """The header of a new file to `recipients`, and its file key.

    pyrage wraps the key for each of them. It does not tell the key, so it wraps it once more for
    a key of ours that nobody else ever sees, and that stanza is left out of the header.
    """
    from pyrage import EncryptError, encrypt, x25519

    from bundles.sealing.identity import X25519Key

    own = x25519.Identity.generate()
    try:
        made = encrypt(b"", [*recipients, own.to_public()])
    except EncryptError as error:
        raise SealFailed(f"{path.name} cannot be sealed: {error}") from error
    header = agefile.read_header(io.BytesIO(made))
    key = X25519Key(str(own))
    file_key = header.file_key([key])
    others = [stanza for stanza in header.stanzas if key.unwrap(stanza) is None]
    return agefile.write_header(others, file_key), file_key
