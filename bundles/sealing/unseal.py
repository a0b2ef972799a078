"""Opening sealed volumes: decrypted ahead of the reader, in order, in bounded memory.

A read never returns a changed byte, for age authenticates every 64 KiB and the end. That says
nothing of origin: what comes out is read as any volume is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from bundles.errors import GooseError
from bundles.files import buffers
from bundles.format.volume import BadVolume
from bundles.sealing import agefile
from bundles.sealing.agefile import (
    CHUNK,
    SEALED_CHUNK,
    TAG,
    BadAgeFile,
    ByteStream,
    NoKeyFits,
    Unwrapper,
)

# Of a file of any version: that one is not ours is told here, and not as a bad tar.
MAGIC = b"age-encryption.org/"

_PIECE = 16  # chunks opened in one go, 1 MiB
_AHEAD = 4  # pieces
_THREADS = 2


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


class OpenedVolume:
    """The plaintext of a sealed volume as a `volume.Source`.

    Raises `WrongIdentity` at once when none of `identities` fits, and `DamagedSeal`, here and in
    `read`, for what was changed. A volume of which only the head is read holds 2 MiB.
    """

    def __init__(self, file: ByteStream, label: str, identities: Sequence[Unwrapper]) -> None:
        self._file, self._label = file, label
        try:
            key = agefile.read_header(file).file_key(identities)
        except BadAgeFile as error:
            raise self._damaged(str(error)) from error
        except NoKeyFits as error:
            raise WrongIdentity(f"{label} is not sealed to this identity", volume=label) from error
        self._payload = agefile.Payload(key, self._more(agefile.NONCE))
        self._next = self._more(_PIECE * SEALED_CHUNK)
        if not self._next:
            raise self._damaged("it ends after its header")
        self._index = 0  # of the first chunk in `_next`
        self._pool = ThreadPoolExecutor(_THREADS)
        self._work: deque[Future[memoryview]] = deque()
        self._held = memoryview(b"")
        self._memory: list[memoryview] = []  # of the pieces ahead, in turn, and one read before
        self._taken = 0  # pieces
        self._error: DamagedSeal | None = None

    def read(self, count: int, /) -> bytes:
        """See `volume.Source`."""
        data = bytearray()
        while len(data) < count and (part := self.read1(count - len(data))):
            if not data and len(part) == count:
                return bytes(part)
            data += part
        return bytes(data)

    def read1(self, count: int, /) -> memoryview:
        """See `volume.Source`."""
        if not self._held:
            self._take()
        part = self._held[:count]
        self._held = self._held[count:]
        return part

    def close(self) -> None:
        """Ends the threads, also in mid-volume."""
        self._pool.shutdown(cancel_futures=True)

    def _take(self) -> bool:
        """Makes the next piece the one that is held; False at the end."""
        if self._error is not None:
            raise self._error
        try:
            # Nothing ahead of the first: all heads are read before any content.
            while len(self._work) < (_AHEAD if self._taken else 1) and self._next:
                self._submit()
            if not self._work:
                return False
            self._held = memoryview(self._work.popleft().result())
        except BadAgeFile as error:
            self._error = self._damaged(str(error))
            raise self._error from error
        except DamagedSeal as error:
            self._error = error
            raise
        self._taken += 1
        return True

    def _submit(self) -> None:
        data, index = memoryview(self._next), self._index
        self._next = self._more(_PIECE * SEALED_CHUNK)
        self._index += _PIECE
        if len(self._memory) <= _AHEAD:
            self._memory.append(buffers.aligned(_PIECE * CHUNK))
        out = self._memory[index // _PIECE % (_AHEAD + 1)]
        self._work.append(self._pool.submit(self._open, data, index, not self._next, out))

    def _open(self, data: memoryview, index: int, end: bool, out: memoryview) -> memoryview:
        """Opens the chunks in `data` into `out`; runs on a thread of the pool."""
        count = -(-len(data) // SEALED_CHUNK)
        for number in range(count):
            sealed = data[number * SEALED_CHUNK :][:SEALED_CHUNK]
            plain = out[number * CHUNK :][: max(0, len(sealed) - TAG)]
            self._payload.open(index + number, sealed, end and number == count - 1, plain)
        return out[: len(data) - count * TAG]

    def _more(self, count: int) -> bytes:
        try:
            return self._file.read(count)
        except OSError as error:
            raise self._damaged(error.strerror or str(error)) from error

    def _damaged(self, why: str) -> DamagedSeal:
        return DamagedSeal(f"{self._label} cannot be opened: {why}", volume=self._label)
