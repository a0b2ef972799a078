"""MAC addresses, in every spelling that firmware, switches and people use."""

from __future__ import annotations

import re

from bundles.errors import GooseError

_OCTETS = re.compile(r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}")
_OTHERS = re.compile(r"[0-9a-f]{12}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}|[0-9a-f]{6}-[0-9a-f]{6}")


class BadMac(GooseError, ValueError):
    """A text is not the MAC address of a network card."""

    code = "bad-mac"
    default_hint = "write it as 52:54:00:12:34:56"


def normalise(text: str) -> str:
    """`text` as ``52:54:00:12:34:56``.

    Takes colons, hyphens, the dots of switches, no separator, any case, and PXELINUX's leading
    hardware type (``01-52-54-00-12-34-56``). Raises `BadMac`, also for the addresses of no card
    and of all cards, and for group addresses (IEEE 802-2014, section 8.2.2).
    """
    bare = text.strip().lower()
    if len(bare) == 20 and bare.startswith(("01-", "01:")):
        bare = bare[3:]
    if not (_OCTETS.fullmatch(bare) or _OTHERS.fullmatch(bare)):
        raise BadMac(f"{text[:40]!r} is not a MAC address")
    digits = bare.translate(_SEPARATORS)
    if digits == "0" * 12 or int(digits[:2], 16) & 1:
        raise BadMac(f"{text!r} is the address of no single network card")
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


_SEPARATORS = {ord(c): None for c in ":-."}
