"""Repeating a request that failed for a reason that may pass."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retry:
    """Pauses that double, each shortened at random so that many clients do not return at once
    ("full jitter", https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
    """

    patience: float  # seconds after the first failure in which a new try may begin
    first: float = 0.1  # seconds
    most: float = 5.0  # seconds
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random  # in [0, 1)

    def run(
        self,
        call: Callable[[], T],
        passing: Callable[[Exception], bool],
        patience: Callable[[], float],
    ) -> T:
        """What `call` returns. Raises what it raised last, when that is not `passing`, or when
        `patience`, in seconds, which may change meanwhile, is over."""
        failed: float | None = None
        ceiling = self.first
        while True:
            try:
                return call()
            except Exception as error:
                if not passing(error):
                    raise
                now = self.clock()
                failed = now if failed is None else failed
                pause = ceiling * self.random()
                if now + pause > failed + patience():
                    raise
                self.sleep(pause)
                ceiling = min(2 * ceiling, self.most)
