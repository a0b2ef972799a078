"""Whether bytes are those of a moment ago, for a twentieth of what SHA-256 costs.

A build reads its content twice, first for the digests, then for the volumes. That both times it was
the same is asked with GHASH (NIST SP 800-38D, section 6.4) under a key that is drawn for one build
and never leaves it: whoever changes a file in between meets the same value with a chance of 2**-112
for 4 MiB. Values are compared, not shown; so one nonce serves them all.
"""

from __future__ import annotations

_NONCE = bytes(12)


class Fingerprint:
    """Makes and compares fingerprints; threads may share it."""

    SIZE = 16  # bytes of one

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(AESGCM.generate_key(128))

    def of(self, data: bytes | memoryview) -> bytes:
        """The fingerprint of `data`, at most 2**31 - 1 bytes."""
        return self._cipher.encrypt(_NONCE, b"", data)
