"""The vectors that age has sealed, to a key that everybody can read in `identity.agekey`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyrage

from tests.vectors.case import Case, case
from tests.vectors.forge import Bundle, volume

IDENTITY = Path(__file__).parent / "identity.agekey"


def all_cases() -> list[Case]:
    return [
        replace(one, name=f"{'accept' if one.expect == 'accept' else 'refuse'}-sealed-{one.name}")
        for one in _cases()
    ]


def _cases() -> Iterator[Case]:
    ours = pyrage.x25519.Identity.from_str(IDENTITY.read_text("utf-8").splitlines()[-1])
    other = pyrage.x25519.Identity.generate()
    whole = volume(Bundle().entries())
    sealed = pyrage.encrypt(whole, [ours.to_public()])
    yield case("plain", "accept", 0, "sealed to the identity of this folder", sealed)
    two = pyrage.encrypt(whole, [other.to_public(), ours.to_public()])
    yield case("to-two", "accept", 0, "sealed to another identity and this one", two)
    foreign = pyrage.encrypt(whole, [other.to_public()])
    yield case("to-another", "wrong-identity", 0, "sealed to another identity", foreign)
    header = sealed.index(b"\n--- ") + 10
    yield case("header", "damaged-seal", 0, "a byte of the header's MAC", _flip(sealed, header))
    yield case(
        "version", "damaged-seal", 0, "age-encryption.org/v2", sealed.replace(b"/v1", b"/v2", 1)
    )
    yield case("payload", "damaged-seal", 0, "a byte of the first chunk", _flip(sealed, -40))
    yield case("cut", "damaged-seal", 0, "the last byte is missing", sealed[:-1])
    large = pyrage.encrypt(whole + bytes(100_000), [ours.to_public()])
    yield case(
        "cut-at-chunk", "damaged-seal", 0, "without its last chunk", large[: -(len(large) % 65_552)]
    )
    yield case("longer", "damaged-seal", 0, "a byte after the end", sealed + b"x")
    yield case(
        "twice",
        "bad-volume",
        1,
        "sealed, and sealed again",
        pyrage.encrypt(sealed, [ours.to_public()]),
    )
    stranger = volume(Bundle(signers=[]).entries())
    unsigned = pyrage.encrypt(stranger, [ours.to_public()])
    yield case("unsigned", "too-few-signatures", 3, "a seal is no signature", unsigned)
    trailing = pyrage.encrypt(whole + b"x", [ours.to_public()])
    yield case(
        "trailing", "trailing-data", 12, "a byte after the volume, within the seal", trailing
    )


def _flip(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)
