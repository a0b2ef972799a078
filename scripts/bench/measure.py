"""Runs commands in turn and says how they compare.

Whole processes, wall time from start to exit, the two sides of a comparison alternating in one
run, so that a slow moment of the machine hits both. What is printed is the median of the pairwise
ratios with its smallest and largest value, never a time alone.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one side."""

    seconds: float
    cpu: float  # seconds, user and system, of the process and its children
    peak_memory: int  # bytes, of the largest process
    peak_disk: int  # bytes more than before, at the worst moment
    left_disk: int  # bytes more than before, at the end


@dataclass(slots=True)
class Side:
    """A command to measure; `before` puts things in place and is not timed."""

    name: str
    command: Sequence[str] | Callable[[], None]
    before: Callable[[], None] = lambda: None
    runs: list[Run] = field(default_factory=list)


def compare(ours: Side, peer: Side, rounds: int, watch: Path) -> None:
    """Runs both sides `rounds` times, after one round that is not counted; the free space of
    `watch`'s file system is sampled meanwhile."""
    for number in range(rounds + 1):
        for side in (ours, peer) if number % 2 else (peer, ours):
            side.before()
            run = _run(side, watch)
            if number:
                side.runs.append(run)


def _run(side: Side, watch: Path) -> Run:
    start_free = _free(watch)
    lowest = start_free
    done = threading.Event()

    def sample() -> None:
        nonlocal lowest
        while not done.wait(0.02):
            lowest = min(lowest, _free(watch))

    sampler = threading.Thread(target=sample)
    sampler.start()
    start = time.perf_counter()
    peak, cpu = 0, 0.0
    try:
        if callable(side.command):
            side.command()
        else:
            process = subprocess.Popen(
                side.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            assert process.stderr is not None
            errors = process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            peak, cpu = usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime
            if process.returncode:
                raise SystemExit(f"{side.name}: {errors.decode()}")
    finally:
        seconds = time.perf_counter() - start
        done.set()
        sampler.join()
    end_free = _free(watch)
    return Run(seconds, cpu, peak, start_free - min(lowest, end_free), start_free - end_free)


def _free(path: Path) -> int:
    info = os.statvfs(path)
    return info.f_bfree * info.f_frsize


def row(title: str, ours: Side, peer: Side, goal: str) -> str:
    """One line of the table."""
    ratios = [a.seconds / b.seconds for a, b in zip(ours.runs, peer.runs, strict=True)]
    memory = max(run.peak_memory for run in ours.runs) / 1e6
    extra = max(run.peak_disk - run.left_disk for run in ours.runs) / 1e6
    return (
        f"| {title} | {peer.name} | {statistics.median(ratios):.2f}"
        f" ({min(ratios):.2f} to {max(ratios):.2f}) | {goal}"
        f" | {statistics.median(r.seconds for r in ours.runs):.2f}"
        f" / {statistics.median(r.seconds for r in peer.runs):.2f}"
        f" | {statistics.median(r.cpu for r in ours.runs):.2f}"
        f" / {statistics.median(r.cpu for r in peer.runs):.2f}"
        f" | {memory:.0f} | {max(0.0, extra):.0f} |"
    )


COLUMNS = (
    "what",
    "peer",
    "ours / peer: median (min to max)",
    "goal",
    "seconds, ours / peer",
    "CPU seconds, ours / peer",
    "our peak memory, MB",
    "our peak disk beyond the result, MB",
)
HEADER = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"
