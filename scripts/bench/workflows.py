"""Whole lives of many machines before one orchestrator on PostgreSQL.

For each size of the fleet: every machine is armed and seen at every step until it is ready. First
the whole fleet is at a step at once, one step after the other, and the orchestrator takes it up as
fast as it can (events per second, CPU seconds); steps of one machine that wait together would cost
less. Then machines are seen at half that speed, by a process apart, and each event's lag is
measured: from its writing to the commit of the turn that took it up; an orchestrator that found
nothing waits as the daemon's does. The exponent says how the cost grows with the fleet: 1 is in
proportion to it.

There is no peer in this field that watches machines; the figure beside is PostgreSQL's own: as many
rows moved one by one from a table into another, which is the least that any such work costs.

Usage: python scripts/bench/workflows.py [--sizes 100 1000 10000]
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from goosed_daemon import outbox, receipts
from goosed_daemon.state import State, Transaction
from goosed_daemon.state.migrate import migrate
from goosed_daemon.web.orchestration import IDLE
from goosed_daemon.workflow import begin, observe, rows
from goosed_daemon.workflow import steps as s
from goosed_daemon.workflow.orchestrator import Orchestrator
from goosed_daemon.workflow.transition import Change
from tests.daemon.state_backends import postgres

NAMES = {"machine": "m", "profile": "rhel9", "installer": "kickstart"}
SEEN = s.STEPS[1:]
PACED = 9_000  # events of the measurement of lag at most


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one size of the fleet."""

    machines: int
    seconds: float
    cpu: float
    floor: float  # seconds that PostgreSQL alone takes for as many rows
    lags: list[float]  # seconds

    @property
    def events(self) -> int:
        return self.machines * len(SEEN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000])
    found = [_measure(size) for size in parser.parse_args().sizes]
    print(
        "| machines | events | events/s | ours / PostgreSQL's floor | ms CPU/event | p99 lag, ms |"
    )
    print("|---|---|---|---|---|---|")
    for one in found:
        p99 = statistics.quantiles(one.lags, n=100)[98] * 1000
        print(
            f"| {one.machines} | {one.events} | {one.events / one.seconds:.0f} |"
            f" {one.seconds / one.floor:.1f} | {one.cpu / one.events * 1000:.2f} | {p99:.0f} |"
        )
    if len(found) > 1:
        first, last = found[0], found[-1]
        exponent = math.log(last.cpu / first.cpu) / math.log(last.machines / first.machines)
        print(f"cost grows with the fleet to the power of {exponent:.2f} (CPU of the orchestrator)")


def _measure(machines: int) -> Figures:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        state = postgres(folder)
        now = datetime.now(UTC)
        migrate(state, now)
        _arm(state, machines, now)
        orchestrator = Orchestrator(state, (receipts.ready, outbox.put))
        seconds = cpu = 0.0
        for place, step in enumerate(SEEN):
            _see(state, range(machines), step, now + timedelta(milliseconds=place))
            began, cpu_began = time.perf_counter(), time.process_time()
            while orchestrator.turn(now).observations:
                pass
            seconds += time.perf_counter() - began
            cpu += time.process_time() - cpu_began
        assert rows.count(state)["ready"] == machines
        floor = _floor(state, machines * len(SEEN))
        lags = _lags(folder, state, machines, machines * len(SEEN) / seconds / 2)
        state.close()
        return Figures(machines, seconds, cpu, floor, lags)


def _lags(folder: Path, state: State, machines: int, rate: float) -> list[float]:
    """Seconds from an event to its turn's commit, with `rate` events a second."""
    count = min(machines, PACED // len(SEEN))
    _arm(state, count, datetime.now(UTC), first=machines)
    seen: list[datetime] = []
    lags: list[float] = []

    def sink(transaction: Transaction, change: Change, now: datetime) -> None:
        seen.extend(fact.at for fact in change.added)

    orchestrator = Orchestrator(state, (sink, receipts.ready, outbox.put))
    # In a process of its own, as daemons are: one of Python runs one thread at a time.
    apart = multiprocessing.get_context("spawn")
    writing = apart.Process(target=_pace, args=(folder, machines, machines + count, rate))
    writing.start()
    idle = 0
    while writing.is_alive() or idle < 2:
        turn = orchestrator.turn(datetime.now(UTC))
        done = datetime.now(UTC)
        lags += [(done - at).total_seconds() for at in seen]
        seen.clear()
        idle = 0 if turn.observations else idle + 1
        if not turn.observations:
            time.sleep(IDLE)
    writing.join()
    return lags


def _pace(folder: Path, first: int, end: int, rate: float) -> None:
    state = postgres(folder)
    due = time.monotonic()
    for step in SEEN:
        for number in range(first, end):
            due += 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))
            _see(state, range(number, number + 1), step, datetime.now(UTC))
    state.close()


def _arm(state: State, count: int, now: datetime, first: int = 0) -> None:
    with state.write() as transaction:
        for number in range(first, first + count):
            begin(transaction, _mac(number), now, UUID(int=number + 1))


def _see(state: State, which: range, step: str, at: datetime) -> None:
    with state.write() as transaction:
        for number in which:
            detail = NAMES if step == s.OFFERED else None
            observe(transaction, _mac(number), step, at, str(UUID(int=number + 1)), detail)


def _floor(state: State, count: int) -> float:
    with state.write() as transaction:
        transaction.script(
            "create table floor_in (id integer primary key, body text);"
            "create table floor_out (id integer primary key, body text)"
        )
        transaction.execute(
            "insert into floor_in select n, repeat('x', 60) from generate_series(1, ?) n", (count,)
        )
    began = time.perf_counter()
    for first in range(1, count + 1, 1000):
        with state.write() as transaction:
            for number in range(first, min(first + 1000, count + 1)):
                transaction.execute(
                    "with taken as (delete from floor_in where id = ? returning id, body)"
                    " insert into floor_out select id, body from taken",
                    (number,),
                )
    return time.perf_counter() - began


def _mac(number: int) -> str:
    digits = f"{number:012x}"
    return ":".join(digits[n : n + 2] for n in range(0, 12, 2))


if __name__ == "__main__":
    main()
