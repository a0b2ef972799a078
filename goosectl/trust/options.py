"""The noun itself, and what several of its verbs read from their arguments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bundles.errors import UsageError

if TYPE_CHECKING:
    from bundles.signing.sshkey import PublicKey
    from bundles.signing.trustchain import Link

app = typer.Typer(help="Say whose signatures count at this site.", no_args_is_help=True)

# A file whose name has an equals sign can be given as ./FILE.
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._@:+-]*)=(.+)")


def signer(text: str) -> tuple[PublicKey, str]:
    """The key and the name that ``[NAME=]FILE.pub`` gives; without NAME it is the comment."""
    from bundles.signing import keys

    named = _NAMED.fullmatch(text)
    key, comment = keys.load_public(Path(named[2] if named else text))
    return key, named[1] if named else comment


def pairs(option: str, texts: Sequence[str] | None) -> dict[str, str]:
    """What each ``NAME=VALUE`` gives. Raises `UsageError`."""
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not value or name in found:
            raise UsageError(f"{option} {text}", hint=f"it is {option} NAME=VALUE, once per NAME")
        found[name] = value
    return found


def namespace(kind: str) -> str:
    """The namespace that ``bundle`` or ``goose-bundle@v1`` names. Raises `UsageError`."""
    from bundles.signing.sshsig import NAMESPACES
    from goosectl.trust.words import short

    for name in NAMESPACES:
        if kind in (name, short(name)):
            return name
    kinds = ", ".join(short(name) for name in NAMESPACES)
    raise UsageError(f"{kind!r} is no kind of document that is signed", hint=f"one of {kinds}")


def chain(files: Sequence[Path]) -> tuple[Link, ...]:
    """The chain of trust roots in `files`, all signatures together.

    Raises what `trustchain.read` and `merge` raise, or `BadTrustChain` for no file.
    """
    from bundles.errors import shown
    from bundles.signing import trustchain

    chains = []
    for path in files:
        try:
            with open(path, "rb") as file:
                data = file.read(trustchain.MAX_CHAIN + 1)
        except OSError as error:
            raise trustchain.BadTrustChain(
                f"{shown(path)}: {error.strerror}", hint="give the file that crossed the gap"
            ) from error
        chains.append(trustchain.read(data, shown(path.name)))
    return trustchain.merge(chains, named(files))


def named(files: Sequence[Path]) -> str:
    """How errors name `files` together."""
    from bundles.errors import shown

    return " and ".join(shown(path.name) for path in files)
