"""The two halves of an age file: a header that gives the file key, a payload of sealed chunks.

Source: the age format specification (C2SP, age.md), "Header", "Payload". The cryptography is
OpenSSL's, through `cryptography`; what is here is which bytes it is given. The reader takes what
`make` and other writers of format v1 write, and refuses any other encoding of the same.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

MAGIC = b"age-encryption.org/v1\n"
NONCE = 16  # bytes between header and chunks
CHUNK = 64 * 1024  # bytes of plaintext, but for the last chunk
TAG = 16  # bytes that a chunk is longer for being sealed
SEALED_CHUNK = CHUNK + TAG

_MAX_HEADER = 256 * 1024  # bytes: more than a thousand recipients
_COLUMNS = 64  # of base64 in a line
_MAC = 32  # bytes
_FILE_KEY = 16


class BadAgeFile(ValueError):
    """Bytes are no age file, or one that was changed; readers turn it into their own refusal."""


class NoKeyFits(Exception):
    """An age file is not sealed to any of the keys given."""


@dataclass(frozen=True, slots=True)
class Stanza:
    """A recipient's part of a header: the file key, wrapped for whoever knows how."""

    kind: str
    arguments: tuple[str, ...]
    body: bytes

    def encode(self) -> bytes:
        """The lines of it."""
        text = _base64(self.body)
        lines = [text[i : i + _COLUMNS] for i in range(0, len(text) + 1, _COLUMNS)]
        return "\n".join((" ".join(("->", self.kind, *self.arguments)), *lines, "")).encode()


class ByteStream(Protocol):
    """What an age file is read from."""

    def read(self, count: int, /) -> bytes:
        """At most `count` bytes; fewer only at the end."""

    def readline(self, limit: int, /) -> bytes:
        """A line with its end, at most `limit` bytes of it."""


class Unwrapper(Protocol):
    """A secret key that may open a file."""

    def unwrap(self, stanza: Stanza) -> bytes | None:
        """The file key, or None when the stanza is for another key. Raises `BadAgeFile`."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header as it was read; nothing in it is believed before `file_key` has returned."""

    stanzas: tuple[Stanza, ...]
    mac: bytes

    def file_key(self, keys: Sequence[Unwrapper]) -> bytes:
        """The file key, by the first of `keys` that fits. Raises `NoKeyFits` or `BadAgeFile`."""
        for key in keys:
            for stanza in self.stanzas:
                found = key.unwrap(stanza)
                if found is None:
                    continue
                if len(found) != _FILE_KEY:
                    raise BadAgeFile(f"its key has {len(found)} bytes")
                if not hmac.compare_digest(_mac(found, _signed(self.stanzas)), self.mac):
                    raise BadAgeFile("its header was changed")
                return found
        raise NoKeyFits


def read_header(file: ByteStream) -> Header:
    """Reads a header and leaves `file` behind it. Raises `BadAgeFile` or what `file.read` does."""
    lines = _lines(file)
    if next(lines) != MAGIC[:-1].decode():
        raise BadAgeFile("it is not of age's format v1")
    stanzas = []
    while (line := next(lines)).startswith("-> "):
        words = line.split(" ")[1:]
        if not all(word and all("!" <= sign <= "~" for sign in word) for word in words):
            raise BadAgeFile("its header holds a stanza with a bad argument")
        body = [next(lines)]
        while len(body[-1]) == _COLUMNS:
            body.append(next(lines))
        stanzas.append(Stanza(words[0], tuple(words[1:]), decode_base64("".join(body))))
    mark, _, mac = line.partition(" ")
    if mark != "---" or not stanzas or len(found := decode_base64(mac)) != _MAC:
        raise BadAgeFile("its header does not end as one must")
    return Header(tuple(stanzas), found)


def write_header(stanzas: Sequence[Stanza], file_key: bytes) -> bytes:
    """The header of a file with these stanzas."""
    signed = _signed(stanzas)
    return signed + f" {_base64(_mac(file_key, signed))}\n".encode()


class Payload:
    """Seals and opens chunks, each for itself (the specification's STREAM): chunk `index` of a
    file has one nonce, so it is sealed once and never again. Threads may share it."""

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self._cipher = ChaCha20Poly1305(derive(file_key, nonce, b"payload"))

    def seal(self, index: int, data: bytes | memoryview, last: bool, out: memoryview) -> None:
        """Puts the sealed form of `data` into `out`, which is `TAG` longer: `CHUNK` bytes, or as
        many as the last chunk has."""
        self._cipher.encrypt_into(_chunk_nonce(index, last), data, None, out)

    def open(self, index: int, sealed: bytes | memoryview, last: bool, out: memoryview) -> None:
        """The inverse of `seal`. Raises `BadAgeFile` for anything but what was sealed; what is in
        `out` then is of no use."""
        from cryptography.exceptions import InvalidTag

        try:
            self._cipher.decrypt_into(_chunk_nonce(index, last), sealed, None, out)
        except InvalidTag:
            raise BadAgeFile(f"it was changed, or cut short, at byte {index * CHUNK}") from None
        if not out and index:
            raise BadAgeFile("it ends with an empty chunk")


def derive(secret: bytes, salt: bytes | None, info: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869), 32 bytes."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt, info).derive(secret)


def decode_base64(text: str) -> bytes:
    """The bytes of unpadded base64 (RFC 4648, section 4), which has one form: `BadAgeFile` for
    any other."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if _base64(data) != text:
        raise BadAgeFile("its header holds bad base64")
    return data


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _signed(stanzas: Sequence[Stanza]) -> bytes:
    """What the MAC is over. One header has one encoding, so it need not be kept when read."""
    return MAGIC + b"".join(stanza.encode() for stanza in stanzas) + b"---"


def _mac(file_key: bytes, signed: bytes) -> bytes:
    return hmac.digest(derive(file_key, None, b"header"), signed, "sha256")


def _chunk_nonce(index: int, last: bool) -> bytes:
    return index.to_bytes(11, "big") + bytes([last])


def _lines(file: ByteStream) -> Iterator[str]:
    left = _MAX_HEADER
    while True:
        line = file.readline(left)
        left -= len(line)
        if not line.endswith(b"\n"):
            raise BadAgeFile("it ends within its header" if left else "its header is too long")
        try:
            yield line[:-1].decode("ascii")
        except UnicodeDecodeError:
            raise BadAgeFile("its header is not ASCII") from None
