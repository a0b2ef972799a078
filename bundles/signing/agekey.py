"""age keys: the site's side of a sealed bundle. They receive and never sign.

Source: the age format specification (C2SP, age.md), X25519 recipients. The files are those of
age-keygen: ``age -i NAME.agekey`` opens, ``age -R NAME.agepub`` seals.
"""

from __future__ import annotations

from pathlib import Path

from bundles.files import keyfile
from bundles.files.keyfile import BadKey

SECRET = b"AGE-SECRET-KEY-"
RECIPIENT = b"age1"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"  # BIP 173
_CHECKSUM = 6  # signs


def generate(folder: Path, name: str) -> tuple[Path, Path, str]:
    """Writes a new age key to `folder`: NAME.agekey (0600) and NAME.agepub.

    Returns both paths and the recipient. Raises `KeyExists` or `KeyNotWritten`.
    """
    from pyrage import x25519

    identity = x25519.Identity.generate()
    recipient = str(identity.to_public())
    secret, public = folder / f"{name}.agekey", folder / f"{name}.agepub"
    text = f"# public key: {recipient}\n{identity}\n"
    keyfile.write_pair(secret, text.encode(), public, f"{recipient}\n".encode())
    return secret, public, recipient


def is_secret(data: bytes) -> bool:
    """Whether a file with these bytes is meant as an age identity."""
    return any(line.startswith(SECRET) for line in data.splitlines())


def is_recipient(data: bytes) -> bool:
    """Whether a file with these bytes is meant as an age recipient."""
    return not is_secret(data) and any(line.startswith(RECIPIENT) for line in data.splitlines())


def recipient_of(path: Path) -> str:
    """The recipient ``age1...`` that a file holds, or that belongs to the identity it holds.

    Raises `BadKey`.
    """
    from pyrage import IdentityError, RecipientError, x25519

    data = keyfile.read(path)
    try:
        lines = [line.strip() for line in data.decode("ascii").splitlines()]
        (word,) = [line for line in lines if line and not line.startswith("#")]
        if is_secret(data):
            return str(x25519.Identity.from_str(word).to_public())
        return str(x25519.Recipient.from_str(word))
    except (ValueError, IdentityError, RecipientError) as error:
        raise BadKey(
            f"{path} does not hold exactly one age key",
            hint="make one: goosectl key new-recipient NAME",
            file=str(path),
        ) from error


def secret_bytes(word: str) -> bytes:
    """The X25519 secret that ``AGE-SECRET-KEY-1...`` is the Bech32 of. Raises ValueError."""
    from pyrage import IdentityError, x25519

    try:
        x25519.Identity.from_str(word)  # judges form and checksum
    except IdentityError as error:
        raise ValueError(str(error)) from error
    number = 0
    for sign in word.rpartition("1")[2][:-_CHECKSUM].lower():
        number = number << 5 | _BECH32.index(sign)
    return (number >> 4).to_bytes(32, "big")  # 52 signs are 260 bits
