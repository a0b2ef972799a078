"""What only a person can tell."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from bundles.errors import UsageError
from bundles.signing.keys import PassphraseNeeded, Signer


def signer(path: Path) -> Signer:
    """What signs with the key that `path` names (see `keys.load_signer`): its passphrase, a PIN or
    a touch are asked for on the terminal."""
    from bundles.signing import keys

    return keys.load_signer(path, passphrase_of, sys.stderr.isatty())


def passphrase_of(path: Path) -> str:
    """The passphrase of the private key at `path`, asked for on the terminal.

    Raises `PassphraseNeeded` where there is none.
    """
    if not sys.stdin.isatty():
        raise PassphraseNeeded(f"{path} is protected by a passphrase", file=str(path))
    return getpass.getpass(f"Passphrase of {path}: ")


def new_passphrase() -> str:
    """A passphrase for a new key, asked for twice. Raises `UsageError`."""
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to be asked for a passphrase", hint="use a terminal")
    first = getpass.getpass("Passphrase for the new key: ")
    if not first:
        raise UsageError("the passphrase is empty", hint="leave out --passphrase for none")
    if getpass.getpass("The same again: ") != first:
        raise UsageError("the two passphrases differ", hint="nothing was written; run it again")
    return first
