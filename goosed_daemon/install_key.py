"""The key with which a site signs install receipts: a seed of Ed25519 in a file of its own.

It is not the token key, which may be replaced at any time: what a receipt says must be checked for
as long as the machine stands.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bundles.signing.keys import FileSigner
from goosed_daemon import secret_file
from goosed_daemon.errors import BadInstallKey, NoInstallKey

SIZE = 32  # bytes of a seed (RFC 8032, section 5.1.5)


def load(path: Path) -> FileSigner:
    """The signer of the site; at the first use its key is made, with mode 0600. Raises
    `BadInstallKey`."""
    seed = secret_file.load(path, SIZE, BadInstallKey)
    return FileSigner(Ed25519PrivateKey.from_private_bytes(seed))


def look(path: Path) -> FileSigner:
    """As `load`, but makes none. Raises `NoInstallKey` or `BadInstallKey`."""
    if not path.exists():
        raise NoInstallKey("this site has no key for install receipts yet")
    return load(path)
