"""SHA-256 digests in the notation of the OCI image specification: ``sha256:<64 hex>``."""

from __future__ import annotations

import hashlib
import re

from bundles.errors import GooseError

PREFIX = "sha256:"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

# As long as every real one: a head written with it has the length of the final head.
PLACEHOLDER = PREFIX + "0" * 64


class BadDigest(GooseError):
    """A text that should be a digest is not one."""

    code = "bad-digest"
    default_hint = "what names it was not written by goosectl, or was changed since: get it again"


def of(data: bytes | memoryview) -> str:
    """The digest of `data`."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def check(text: object, where: str) -> str:
    """`text` when it is a digest; `where` names it in the error.

    Raises `BadDigest`.
    """
    if isinstance(text, str) and _DIGEST.fullmatch(text):
        return text
    raise BadDigest(f"{where}: {text!r} is not a digest of the form sha256:<64 hex digits>")


def hex_of(digest: str) -> str:
    """The hexadecimal part of a digest."""
    return digest[len(PREFIX) :]
