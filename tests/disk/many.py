"""Many cases side by side, and the few of them that an ordinary run takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from tests.disk.lives import Lane

T = TypeVar("T")


def spread(count: int, most: int) -> list[int]:
    """Numbers from 1 to `count`: all, or `most` of them, evenly spread with both ends among them.
    With GOOSE_EXHAUSTIVE=1 always all."""
    if count <= most or os.environ.get("GOOSE_EXHAUSTIVE") == "1":
        return list(range(1, count + 1))
    return sorted({1 + round(number * (count - 1) / (most - 1)) for number in range(most)})


def each(lanes: Sequence[Lane], cases: Iterable[T], run: Callable[[Lane, T], None]) -> None:
    """Runs every case, as many at once as there are lanes; raises what the first raised, with its
    case in a note."""
    free: SimpleQueue[Lane] = SimpleQueue()
    for lane in lanes:
        free.put(lane)

    def one(case: T) -> None:
        lane = free.get()
        try:
            run(lane, case)
        except BaseException as error:
            error.add_note(f"case: {case}")
            raise
        finally:
            free.put(lane)

    with ThreadPoolExecutor(len(lanes)) as pool:
        try:
            for done in [pool.submit(one, case) for case in cases]:
                done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
