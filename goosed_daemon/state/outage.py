"""Remembers that a server is away, so that not everybody waits to find it out again.

While a database is gone every request would wait for its time-out, and a rack that boots would
queue behind them for hours. Here one caller at a time tries, and the others are refused at once.
"""

from __future__ import annotations

import threading


class Outage:
    """One server's outage. Safe to use from several threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._why: str | None = None
        self._trying: int | None = None  # the thread that tries now

    def refusal(self) -> str | None:
        """Why a caller is to give up at once; None where it may go on. During an outage that makes
        it the one who tries, until it tells by `begin`, `over` or `gave_up` how that went."""
        if self._why is None:  # the usual case, without the lock
            return None
        with self._guard:
            if self._trying is not None:
                return self._why
            self._trying = threading.get_ident()
            return None

    def begin(self, why: str) -> None:
        """The server does not answer."""
        with self._guard:
            self._why = why
            self._let_go()

    def over(self) -> bool:
        """The server answers; True where it did not before."""
        if self._why is None:
            return False
        with self._guard:
            was, self._why, self._trying = self._why, None, None
            return was is not None

    def gave_up(self) -> None:
        """Whoever tried could not tell."""
        with self._guard:
            self._let_go()

    def _let_go(self) -> None:
        # Those who found the outage out together are not the one who tries: were each to make room
        # for another, they would all go on trying.
        if self._trying == threading.get_ident():
            self._trying = None
