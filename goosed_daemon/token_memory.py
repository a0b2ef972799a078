"""What a daemon remembers of boot tokens that are over, so that asking again costs no database."""

from __future__ import annotations

import threading
from collections import OrderedDict

from goosed_daemon.token_rows import Token

LIMIT = 10_000  # tokens; the oldest make room


class Ended:
    """Tokens that were used or ended, by the digest of their secret: neither is ever undone.
    Bounded; thread-safe."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._tokens: OrderedDict[str, Token] = OrderedDict()

    def get(self, digest: str) -> Token | None:
        """The token, if it is known to be over."""
        return self._tokens.get(digest)

    def keep(self, token: Token) -> None:
        """Remembers a token if it is over."""
        if not token.used and token.ended is None:
            return
        with self._lock:
            self._tokens[token.digest] = token
            while len(self._tokens) > self._limit:
                self._tokens.popitem(last=False)
