"""Sealed volumes: age encryption around a volume, so that only its recipients can read it.

Source: the age format specification (C2SP, age.md). Sealing says nothing of origin, for anyone can
seal to a public recipient: what is inside is signed, and checked after opening exactly as an open
volume is. No plaintext touches the disk. Why one pass is enough, and which part is whose:
docs/adr/0010-sealing-in-one-pass.md.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bundles import digest as digests
from bundles.errors import GooseError
from bundles.files import buffers, keyfile
from bundles.files.direct import DirectFile
from bundles.files.keyfile import BadKey
from bundles.files.pending import PendingFile
from bundles.progress import Progress
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

    age seals each 64 KiB for itself, so they may come in any order, as `VolumeWriter` has them. A
    chunk is sealed when all its bytes are here, and never twice: a nonce that served for two texts
    would give both away. At most the chunks that wait for a missing byte are in memory: where the
    head ends, where a large layer begins, and the last. Raises `SealFailed`.
    """

    def __init__(self, path: Path, recipients: Sequence[Recipient]) -> None:
        header, file_key = _header(recipients, path)
        super().__init__(path)
        self._direct = DirectFile(self._temporary, self.descriptor)
        nonce = os.urandom(agefile.NONCE)
        self._put(header + nonce, 0)
        self._start = len(header) + len(nonce)
        self._payload = agefile.Payload(file_key, nonce)
        self._sealed = buffers.aligned(_RUN * SEALED_CHUNK)
        self._unsealed: dict[int, _Partial | None] = {}  # below `_beyond`; None: no byte is here
        self._beyond = 0  # chunks from here on are untouched
        self._size: int | None = None  # of the volume, once it is known

    def __exit__(self, *_: object) -> None:
        self._direct.close()
        super().__exit__(*_)

    @property
    def size(self) -> int:
        """See `PendingFile`."""
        self._direct.flush()
        return super().size

    def digest(self, progress: Progress, stop: threading.Event) -> str:
        """See `PendingFile`."""
        whole = hashlib.sha256()
        for piece in self._direct.pieces():
            whole.update(piece)
            progress.advance(len(piece))
            if stop.is_set():
                break
        return digests.PREFIX + whole.hexdigest()

    def write(self, data: bytes | bytearray | memoryview, at: int) -> None:
        """See `PendingFile`."""
        with memoryview(data) as view:
            done = 0
            while done < len(view):
                index, offset = divmod(at + done, CHUNK)
                if whole := 0 if offset else min((len(view) - done) // CHUNK, _RUN):
                    self._seal(index, [view[done + i * CHUNK :][:CHUNK] for i in range(whole)])
                    done += whole * CHUNK
                else:
                    part = view[done : done + CHUNK - offset]
                    self._gather(index, offset, part)
                    done += len(part)

    def write_end(self, data: bytes | bytearray | memoryview, at: int) -> None:
        """See `PendingFile`."""
        self._size = at + len(data)
        self.write(data, at)
        if self._unsealed:
            raise AssertionError(f"{self.path.name}: chunks {list(self._unsealed)} are not whole")
        self.rest()

    def rest(self) -> None:
        """See `PendingFile`."""
        self._direct.flush()

    def _put(self, data: bytes | bytearray | memoryview, at: int) -> None:
        with memoryview(data) as view:
            self._direct.write(view, at)

    def _gather(self, index: int, offset: int, part: memoryview) -> None:
        self._touch(index)
        partial = self._unsealed[index] = self._unsealed[index] or _Partial()
        partial.data[offset : offset + len(part)] = part
        partial.count += len(part)
        wanted = CHUNK if self._size is None else min(CHUNK, self._size - index * CHUNK)
        if partial.count == wanted:
            self._seal(index, [memoryview(partial.data)[:wanted]])

    def _seal(self, index: int, chunks: Sequence[memoryview]) -> None:
        """Seals and writes consecutive chunks."""
        end = 0
        for number, chunk in enumerate(chunks, index):
            self._touch(number)
            del self._unsealed[number]
            last = self._size is not None and (number + 1) * CHUNK >= self._size
            start, end = end, end + len(chunk) + TAG
            self._payload.seal(number, chunk, last, self._sealed[start:end])
        self._put(self._sealed[:end], self._start + index * SEALED_CHUNK)

    def _touch(self, index: int) -> None:
        """Chunk `index` is about to take bytes."""
        self._unsealed.update(dict.fromkeys(range(self._beyond, index + 1)))
        self._beyond = max(self._beyond, index + 1)
        if index not in self._unsealed:
            raise AssertionError(f"{self.path.name}: chunk {index} is sealed already")


class _Partial:
    """A chunk some of whose bytes are still to come."""

    def __init__(self) -> None:
        self.data = bytearray(CHUNK)
        self.count = 0


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
