"""Opening sealed volumes: decrypted ahead of the reader, in order, in bounded memory.

A read never returns a changed byte, for age authenticates every 64 KiB and the end. That says
nothing of origin: what comes out is read as any volume is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from bundles import agefile
from bundles.agefile import SEALED_CHUNK, BadAgeFile, ByteStream, NoKeyFits, Unwrapper
from bundles.errors import GooseError
from bundles.volume import BadVolume

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
        self._work: deque[Future[bytes]] = deque()
        self._held = memoryview(b"")
        self._taken = 0  # pieces
        self._error: DamagedSeal | None = None

    def read(self, count: int, /) -> bytes:
        """See `volume.Source`."""
        parts, missing = [], count
        while missing and (self._held or self._take()):
            part = self._held[:missing]
            parts.append(part)
            self._held = self._held[len(part) :]
            missing -= len(part)
        return b"".join(parts)

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
        data, index = self._next, self._index
        self._next = self._more(_PIECE * SEALED_CHUNK)
        self._index += _PIECE
        self._work.append(self._pool.submit(self._open, memoryview(data), index, not self._next))

    def _open(self, data: memoryview, index: int, end: bool) -> bytes:
        """Opens the chunks in `data`; runs on a thread of the pool."""
        starts = range(0, len(data), SEALED_CHUNK)
        return b"".join(
            self._payload.open(
                index + number, data[start : start + SEALED_CHUNK], end and start == starts[-1]
            )
            for number, start in enumerate(starts)
        )

    def _more(self, count: int) -> bytes:
        try:
            return self._file.read(count)
        except OSError as error:
            raise self._damaged(error.strerror or str(error)) from error

    def _damaged(self, why: str) -> DamagedSeal:
        return DamagedSeal(f"{self._label} cannot be opened: {why}", volume=self._label)
