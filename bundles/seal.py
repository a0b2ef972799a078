"""Sealed volumes: age encryption around a volume, so that only its recipients can read it.

Source: the age format specification (C2SP, age.md); pyrage does the cryptography. Sealing says
nothing of origin, for anyone can seal to a public recipient: what is inside is signed, and checked
after opening exactly as an open volume is. Everything streams; no plaintext touches the disk.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from bundles import agekey, keyfile
from bundles import digest as digests
from bundles.errors import GooseError
from bundles.keyfile import BadKey
from bundles.volume import BadVolume
from bundles.writer import PendingFile

if TYPE_CHECKING:
    from pyrage import ssh, x25519

MAGIC = b"age-encryption.org/"  # of any version: that it is not ours is then told in age's words
SUFFIX = ".age"
_PIECE = 1024 * 1024  # bytes handed from one thread to the next
_AHEAD = 8  # pieces

Recipient: TypeAlias = "x25519.Recipient | ssh.Recipient"
Identity: TypeAlias = "x25519.Identity | ssh.Identity"


class IdentityNeeded(GooseError):
    """A volume is sealed and no identity was given."""

    code = "identity-needed"
    default_hint = "give the site's age key: --identity FILE.agekey"


class WrongIdentity(GooseError):
    """A volume is not sealed to the identity given."""

    code = "wrong-identity"
    default_hint = "it was sealed to others: give another --identity, or ask its builder"


class DamagedSeal(BadVolume):
    """A sealed volume was changed or is not complete."""

    code = "damaged-seal"
    default_hint = "copy the volume again"


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


def identity(path: Path) -> list[Identity]:
    """The identities that a file holds: age secret keys or one SSH private key without
    passphrase. Raises `BadKey` or `KeyExposed`."""
    from pyrage import IdentityError, ssh, x25519

    data = keyfile.read_secret(path)
    try:
        if agekey.is_secret(data):
            lines = data.decode("ascii").splitlines()
            return [x25519.Identity.from_str(li) for li in lines if li and not li.startswith("#")]
        return [ssh.Identity.from_buffer(data)]
    except (IdentityError, UnicodeDecodeError) as error:
        raise BadKey(
            f"{path} holds no identity that opens sealed volumes: {error}",
            hint="give a .agekey file, or an SSH private key without passphrase",
            file=str(path),
        ) from error


class SealedWriter(PendingFile):
    """A sealed volume on its way to the disk."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._hash = hashlib.sha256()
        self._pending = bytearray()
        self._work: list[Future[None]] = []

    def seal(self, chunks: Iterator[bytes | memoryview], recipients: Sequence[Recipient]) -> str:
        """Seals what `chunks` yields and makes it durable; returns the digest of the ciphertext.

        Raises what `chunks` raises, OSError or `SealFailed`.
        """
        from pyrage import EncryptError, encrypt_io

        source = _Readable(chunks)
        with ThreadPoolExecutor(1) as self._hasher:
            try:
                encrypt_io(source, self, list(recipients))
            except (EncryptError, OSError) as error:
                # pyrage tells of a failed read or write in its own words; say the cause.
                if cause := source.error or self._error:
                    raise cause from None
                raise SealFailed(f"{self.path.name} cannot be sealed: {error}") from error
            # A last short write that failed is not reported by pyrage.
            if cause := source.error or self._error:
                raise cause
            self._drain()
            for work in self._work:
                work.result()
        os.fsync(self._file)
        return digests.PREFIX + self._hash.hexdigest()

    _error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Called by pyrage with ciphertext."""
        self._pending += data
        if len(self._pending) >= _PIECE:
            try:
                self._drain()
            except OSError as error:
                self._error = error
                raise
        return len(data)

    def flush(self) -> None:
        """Called by pyrage; `seal` does it."""

    def _drain(self) -> None:
        """Writes what is pending, while another thread hashes it."""
        piece = bytes(self._pending)
        self._pending.clear()
        self._work.append(self._hasher.submit(self._hash.update, piece))
        if len(self._work) > _AHEAD:
            self._work.pop(0).result()
        view = memoryview(piece)
        while view:
            view = view[os.write(self._file, view) :]
        self.position += len(piece)


class _Readable:
    """An iterator of chunks as a file to read from."""

    def __init__(self, chunks: Iterator[bytes | memoryview]) -> None:
        self._chunks = chunks
        self._held = memoryview(b"")
        self.error: BaseException | None = None

    def read(self, count: int) -> bytes:
        try:
            while not self._held:
                self._held = memoryview(next(self._chunks))
        except StopIteration:
            return b""
        except BaseException as error:  # Ctrl-C too: pyrage would make a failed read of it
            self.error = error
            raise
        data = bytes(self._held[:count])
        self._held = self._held[count:]
        return data


class OpenedVolume:
    """The plaintext of a sealed volume as a `volume.Source`, decrypted ahead on another thread.

    Raises `WrongIdentity` at once when none of `identities` fits. age authenticates every 64 KiB
    and the end, so a read never returns a changed byte; it raises `DamagedSeal` instead.
    """

    def __init__(self, file: BinaryIO, label: str, identities: Sequence[Identity]) -> None:
        self._file, self._label, self._identities = file, label, list(identities)
        self._pieces: queue.Queue[bytes | Exception | None] = queue.Queue(_AHEAD)
        self._pending = bytearray()
        self._held = memoryview(b"")
        self._ended: Exception | None = None
        self._finished = self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"open {label}", daemon=True)
        self._thread.start()
        self._fetch()  # the first piece tells whether an identity fits

    def read(self, count: int, /) -> bytes:
        """See `volume.Source`."""
        parts, missing = [], count
        while missing and (self._held or self._fetch()):
            part = self._held[:missing]
            parts.append(part)
            self._held = self._held[len(part) :]
            missing -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Ends the thread, also in mid-volume."""
        self._closed = True
        while self._thread.is_alive():
            try:
                self._pieces.get(timeout=0.05)
            except queue.Empty:
                continue

    def _fetch(self) -> bool:
        if self._ended is not None:
            raise self._ended
        if self._finished:
            return False
        piece = self._pieces.get()
        if isinstance(piece, Exception):
            self._ended = piece
            raise piece
        if piece is None:
            self._finished = True
            return False
        self._held = memoryview(piece)
        return True

    def _run(self) -> None:
        from pyrage import DecryptError, decrypt_io

        last: Exception | None = None
        try:
            decrypt_io(self._file, self, self._identities)
            self._pieces.put(bytes(self._pending))
        except DecryptError as error:
            last = self._refusal(error)
        except OSError as error:
            last = DamagedSeal(
                f"{self._label} is damaged, or was cut short: {error.strerror or error}",
                volume=self._label,
            )
        except Exception as error:  # whatever it is belongs to the reading thread
            last = error
        self._pieces.put(last)

    def _refusal(self, error: Exception) -> GooseError:
        text = str(error)
        if "No matching keys" in text:
            return WrongIdentity(
                f"{self._label} is not sealed to this identity", volume=self._label
            )
        return DamagedSeal(
            f"{self._label} cannot be opened: {text or 'damaged'}", volume=self._label
        )

    def write(self, data: bytes) -> int:
        """Called by pyrage with plaintext."""
        if self._closed:
            raise OSError("closed")
        self._pending += data
        if len(self._pending) >= _PIECE:
            self._pieces.put(bytes(self._pending))
            self._pending.clear()
        return len(data)

    def flush(self) -> None:
        """Called by pyrage at the end."""
