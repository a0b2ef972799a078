"""goosectl on a real terminal, with somebody who answers."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Sequence


def converse(args: Sequence[str], answers: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Runs goosectl; after each prompt gives its answer. The exit code and all that was seen."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "goosectl", *args])  # noqa: S606
    said, seen = "", ""
    try:
        for prompt, answer in answers:
            while prompt not in said:
                said += os.read(terminal, 1024).decode()
            seen, said = seen + said, ""
            os.write(terminal, answer.encode() + b"\n")
        while piece := os.read(terminal, 1024):
            said += piece.decode()
    except OSError:  # EIO: how Linux says that the other end of a terminal is closed
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen + said
