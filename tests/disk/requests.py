"""What happens to a process at one of its requests to an S3 server."""

from __future__ import annotations

import os
import signal
from typing import Any

import urllib3
from urllib3.exceptions import ProtocolError

DEEDS = (
    "count",
    "kill before",  # the request is made
    "kill after",  # it was answered
    "stop",  # before it
    "lose",  # the answer to this one
    "gone",  # the service, from this request on
)


def arm(deed: str, at: int, told: str) -> None:
    """In a process of its own: has `deed` happen at request number `at`, counted from 1; writes
    their count to the file `told`."""
    from bundles.store.s3.retry import Retry
    from bundles.store.s3.store import S3Store

    assert deed in DEEDS
    send, count = urllib3.PoolManager.urlopen, 0

    def urlopen(self: urllib3.PoolManager, *words: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        here = count == at
        with open(told, "w") as file:
            file.write(str(count))
        if deed == "kill before" and here:
            os.kill(os.getpid(), signal.SIGKILL)
        if deed == "stop" and here:
            os.kill(os.getpid(), signal.SIGSTOP)
        if deed == "gone" and count >= at:
            raise ProtocolError("the connection broke")
        answer = send(self, *words, **more)
        if deed == "kill after" and here:
            os.kill(os.getpid(), signal.SIGKILL)
        if deed == "lose" and here:
            answer.close()
            raise ProtocolError("the connection broke")
        return answer

    urllib3.PoolManager.urlopen = urlopen  # type: ignore[method-assign]
    if deed == "gone":
        S3Store.__init__.__defaults__ = (Retry(patience=0.1), Retry(patience=0.1))
