"""The site's key, from which all secrets of machines are derived."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from goosed_daemon import secret_file
from goosed_daemon.errors import BadTokenKey

SIZE = 32  # bytes


class TokenKey:
    """Derives secrets, so that they can be told again without being stored anywhere."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != SIZE:
            raise BadTokenKey(f"a token key has {SIZE} bytes, not {len(key)}")
        self._key = key

    def boot(self, token_id: str) -> str:
        """The secret of a boot token: base64url(HMAC-SHA-256(key, id)), without padding."""
        return self._derive(UUID(token_id).bytes)

    def callback(self, token_id: str) -> str:
        """The secret with which the install that a boot token began reports its progress."""
        return self._derive(b"callback" + UUID(token_id).bytes)

    def enrolment(self, enrolment_id: str) -> str:
        """The secret with which an agent enrols, once: the id and an HMAC of it, so that whose it
        is can be told without a search."""
        return _text(UUID(enrolment_id).bytes + self._enrolment_tag(UUID(enrolment_id).bytes))

    def of_enrolment(self, secret: str) -> str | None:
        """The id of the enrolment with this secret; None for what this key did not make."""
        data = _bytes(secret, 16 + 32)
        if data is None or not hmac.compare_digest(self._enrolment_tag(data[:16]), data[16:]):
            return None
        return str(UUID(bytes=data[:16]))

    def agent(self, mac: str, family: str, counter: int, idempotency_key: str) -> str:
        """The token number `counter` of a family, the enrolment's id, of the machine `mac`.

        The same arguments give the same token. It tells its place in the family to this key alone:
        family (16 bytes), counter (4), a nonce made of the idempotency key (16), and an
        HMAC-SHA-256 over machine and all of these (32), as base64url.
        """
        head = UUID(family).bytes + counter.to_bytes(4, "big")
        head += self._mac(b"agent nonce" + head + idempotency_key.encode())[:16]
        return _text(head + self._agent_tag(mac, head))

    def of_agent(self, mac: str, token: str) -> tuple[str, int] | None:
        """Family and counter of a token of the machine `mac`, current or long ended; None for what
        this key did not make for it."""
        data = _bytes(token, 16 + 4 + 16 + 32)
        if data is None or not hmac.compare_digest(self._agent_tag(mac, data[:36]), data[36:]):
            return None
        return str(UUID(bytes=data[:16])), int.from_bytes(data[16:20], "big")

    def receipt_tag(self, origin: str) -> str:
        """Says that a render of this site made `origin`, as `receipts` keeps it."""
        return _text(self._mac(b"receipt" + origin.encode()))

    def _enrolment_tag(self, enrolment_id: bytes) -> bytes:
        return self._mac(b"enrolment" + enrolment_id)

    def _agent_tag(self, mac: str, head: bytes) -> bytes:
        return self._mac(b"agent token" + mac.encode() + head)

    def _derive(self, message: bytes) -> str:
        return _text(self._mac(message))

    def _mac(self, message: bytes) -> bytes:
        return hmac.digest(self._key, message, "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str, size: int) -> bytes | None:
    """What `_text` made `text` of, if that had `size` bytes and this is its one spelling."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    return data if len(data) == size and _text(data) == text else None


def digest(secret: str) -> str:
    """What is stored of a secret: its SHA-256, hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two secrets or digests are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def load(path: Path, random: Callable[[int], bytes] = secrets.token_bytes) -> TokenKey:
    """The key in `path`; at the first use it is made, with mode 0600.

    Several processes that start at once all get the same key. Raises `BadTokenKey`.
    """
    return TokenKey(secret_file.load(path, SIZE, BadTokenKey, random))
