"""Ctrl-C, and a host that shuts down: what a long operation leaves behind, and how to go on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bundles.errors import GooseError


class Interrupted(GooseError):
    """The command was interrupted from outside (exit code 130)."""

    code = "interrupted"


@contextmanager
def interruptible(left: str, hint: str) -> Iterator[None]:
    """Lets SIGTERM end what runs inside as SIGINT does: by unwinding, so that temporary files go.

    Raises `Interrupted`, which says what is `left` and, as `hint`, how to go on.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted: {left}", hint=hint) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
