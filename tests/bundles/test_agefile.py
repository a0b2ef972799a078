"""Headers of age files: what the specification refuses is refused."""

from __future__ import annotations

import io
from collections.abc import Callable

import pyrage
import pytest

from bundles.sealing import agefile
from bundles.sealing.agefile import BadAgeFile, NoKeyFits, Stanza
from bundles.sealing.identity import X25519Key

SECRET = pyrage.x25519.Identity.generate()
KEY = X25519Key(str(SECRET))
FILE = pyrage.encrypt(b"goose", [SECRET.to_public()])


def opened(data: bytes) -> bytes:
    """The plaintext of an age file of one chunk."""
    file = io.BytesIO(data)
    key = agefile.read_header(file).file_key([KEY])
    payload, sealed = agefile.Payload(key, file.read(agefile.NONCE)), file.read()
    plain = bytearray(len(sealed) - agefile.TAG)
    payload.open(0, sealed, True, memoryview(plain))
    return bytes(plain)


def changed(change: Callable[[Stanza], Stanza]) -> bytes:
    """The file with another stanza for our key, under a header that its MAC fits."""
    header = agefile.read_header(io.BytesIO(FILE))
    key = header.file_key([KEY])
    stanzas = [change(s) if s.kind == "X25519" else s for s in header.stanzas]
    return agefile.write_header(stanzas, key) + FILE[FILE.index(b"\n--- ") + 49 :]


def test_a_header_is_written_as_it_was_read() -> None:
    assert changed(lambda stanza: stanza) == FILE
    assert opened(FILE) == b"goose"


def test_bytes_of_a_body_that_fills_its_line() -> None:
    stanza = Stanza("odd", (), bytes(48))
    assert stanza.encode().endswith(b"A" * 64 + b"\n\n")
    header = agefile.read_header(io.BytesIO(agefile.write_header([stanza], bytes(16))))
    assert header.stanzas == (stanza,)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"/v1\n", b"/v2\n"),
        (b"/v1\n", b"/v1\r\n"),
        (b"-> X25519 ", b"-> X25519  "),
        (b"-> X25519 ", b"->  X25519 "),
        (b"-> X25519 ", b"-> X\x1f5519 "),
        (b"-> X25519 ", b"-> X\xff5519 "),
        (b"\n--- ", b"\n---"),
        (b"\n--- ", b"\n--- A"),
        (b"\n--- ", b"=\n--- "),
        (b"\n--- ", b"\n\n--- "),
    ],
)
def test_header_that_is_not_of_the_form(old: bytes, new: bytes) -> None:
    assert FILE.count(old) == 1
    with pytest.raises(BadAgeFile):
        opened(FILE.replace(old, new))


def test_header_that_does_not_end() -> None:
    endless = agefile.MAGIC + b"-> odd\n" + (b"A" * 64 + b"\n") * 10_000
    with pytest.raises(BadAgeFile, match="too long"):
        agefile.read_header(io.BytesIO(endless))
    for length in range(FILE.index(b"\n--- ") + 49):
        with pytest.raises(BadAgeFile, match="ends within its header"):
            agefile.read_header(io.BytesIO(FILE[:length]))


def test_base64_has_one_form() -> None:
    """The last sign of 32 bytes has two bits that say nothing: they must be zero."""
    at = FILE.index(b"\n--- ") + 47
    other = bytes([FILE[at] + 1])
    with pytest.raises(BadAgeFile, match="base64"):
        opened(FILE[:at] + other + FILE[at + 1 :])


@pytest.mark.parametrize(
    "change",
    [
        lambda s: Stanza(s.kind, (), s.body),
        lambda s: Stanza(s.kind, (*s.arguments, "more"), s.body),
        lambda s: Stanza(s.kind, (s.arguments[0][:-3],), s.body),
        lambda s: Stanza(s.kind, s.arguments, s.body + b"a"),
        lambda s: Stanza(s.kind, ("A" * 43,), s.body),  # a share of low order
    ],
)
def test_stanza_that_is_not_of_the_form(change: Callable[[Stanza], Stanza]) -> None:
    with pytest.raises(BadAgeFile, match="its header holds a"):
        opened(changed(change))


def test_stanza_for_another() -> None:
    with pytest.raises(NoKeyFits):
        opened(pyrage.encrypt(b"goose", [pyrage.x25519.Identity.generate().to_public()]))


def test_stanza_that_was_added_by_another() -> None:
    """Only who knows the file key can write a header's MAC."""
    header = agefile.read_header(io.BytesIO(FILE))
    stanzas = [*header.stanzas, Stanza("odd", (), b"")]
    forged = agefile.write_header(stanzas, bytes(16))
    with pytest.raises(BadAgeFile, match="header was changed"):
        opened(forged + FILE[FILE.index(b"\n--- ") + 49 :])


@pytest.mark.parametrize("at", [-1, -16, -20, -30])
def test_changed_chunk(at: int) -> None:
    data = bytearray(FILE)
    data[at] ^= 1
    with pytest.raises(BadAgeFile, match="changed, or cut short"):
        opened(bytes(data))
