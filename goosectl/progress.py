"""How far a long operation is: counted once, and shown as fits who is looking.

`Lines` is for a log or a pipe, `Events` for scripts (`--json`), `goosectl.bar.Bar` for a terminal.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from bundles.progress import Preflight
from goosectl import sizes
from goosectl.output import one_line

#: Seconds between two plain lines: a log of an hour's import stays below a thousand lines.
LINE_INTERVAL = 5.0
#: Seconds between two events for scripts.
EVENT_INTERVAL = 1.0
#: The rate is that of the last so many seconds: what was found already there, and passed over at
#: a thousand times the speed, must not make the rest look near.
RATE_WINDOW = 30.0


@dataclass(frozen=True, slots=True)
class Volume:
    """The volume in hand."""

    file: str
    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.file} ({self.number} of {self.of})"


@dataclass(frozen=True, slots=True)
class Moment:
    """How far a stage is."""

    stage: str
    done: int  # bytes
    total: int | None  # bytes
    rate: float  # bytes a second, lately
    volume: Volume | None
    item: str | None

    @property
    def left(self) -> float | None:
        """Seconds to the end at this rate; None when nobody can tell."""
        if not self.total or not self.rate:
            return None
        return max(self.total - self.done, 0) / self.rate


class Stage:
    """Counts, and hands on no more often than its interval says."""

    interval: float

    def __init__(self, stream: TextIO, clock: Callable[[], float], unit: str = "") -> None:
        self._stream = stream
        self._unit = unit  # what is counted, in the plural; empty: bytes
        self._clock = clock
        self._lock = threading.RLock()  # volumes are sealed two at a time
        self._stage: str | None = None
        self._total: int | None = None
        self._done = 0
        self._started = self._shown = 0.0
        self._volume: Volume | None = None
        self._marks: deque[tuple[float, int]] = deque()  # when, and how far it was then

    def preflight(self, needs: Preflight) -> None:
        """See bundles.progress.Progress."""
        if not needs.volumes:
            self._line("nothing to import: what these volumes hold is here already")
            return
        free = "how much is free cannot be known"
        if needs.free is not None:
            free = f"{sizes.text(needs.free)} free"
        count = "1 volume" if needs.volumes == 1 else f"{needs.volumes} volumes"
        self._line(
            f"{count} of {sizes.text(needs.bytes)};"
            f" {sizes.text(needs.needed)} to write, {free}"
        )  # fmt: skip

    def start(self, stage: str, total: int | None) -> None:
        """See bundles.progress.Progress; a stage that was not finished ends here."""
        self.finish()
        with self._lock:
            self._stage, self._total, self._done, self._volume = stage, total, 0, None
            self._started = self._shown = self._clock()
            self._marks = deque([(self._started, 0)])
            self._begin(Moment(stage, 0, total, 0.0, None, None))

    def volume(self, file: str, number: int, of: int) -> None:
        """See bundles.progress.Progress."""
        self._volume = Volume(file, number, of)

    def advance(self, count: int, item: str | None = None) -> None:
        """See bundles.progress.Progress."""
        with self._lock:
            self._done += count
            now = self._clock()
            if self._stage is not None and now - self._shown >= self.interval:
                self._shown = now
                rate = self._rate(now)
                moment = (self._stage, self._done, self._total, rate, self._volume, item)
                self._show(Moment(*moment))

    def finish(self) -> None:
        """See bundles.progress.Progress; does nothing when no stage is under way."""
        with self._lock:
            if self._stage is not None:
                stage, self._stage = self._stage, None
                self._clear()
                self._end(stage, self._clock() - self._started)

    def abandon(self) -> None:
        """The operation failed: nothing more is shown, least of all that its stage is over."""
        with self._lock:
            if self._stage is not None:
                self._stage = None
                self._clear()

    def amount(self, count: int) -> str:
        """So much of what is counted, in words."""
        return f"{count:,} {self._unit}" if self._unit else sizes.text(count)

    def _rate(self, now: float) -> float:
        since, before = self._marks[0]
        self._marks.append((now, self._done))
        while len(self._marks) > 1 and self._marks[1][0] <= now - RATE_WINDOW:
            self._marks.popleft()
        return (self._done - before) / max(now - since, 1e-9)

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def _begin(self, moment: Moment) -> None:
        raise NotImplementedError

    def _show(self, moment: Moment) -> None:
        raise NotImplementedError

    def _clear(self) -> None:
        """Takes away what the stage has on the screen."""

    def _end(self, stage: str, seconds: float) -> None:
        """The stage in one line: how much, how long, how fast."""
        rate, what = "", "done"
        if self._done or self._total:
            what = self.amount(self._done)
            rate = f", {self.amount(int(self._done / seconds))}/s" if seconds >= 1 else ""
        self._line(one_line(f"{stage}: {what} in {sizes.duration(seconds, tenths=True)}{rate}"))


class Lines(Stage):
    """Plain lines: one when a stage starts, one every few seconds, one when it ends."""

    interval = LINE_INTERVAL

    def _begin(self, moment: Moment) -> None:
        length = "" if moment.total is None else f": {self.amount(moment.total)}"
        self._line(one_line(moment.stage + length))

    def _show(self, moment: Moment) -> None:
        words = [f"{moment.stage}: {self.amount(moment.done)}"]
        if moment.total:
            done = f"{moment.done:,}" if self._unit else sizes.text(moment.done)
            words = [f"{moment.stage}: {done} of {self.amount(moment.total)}"]
            words.append(f"{100 * moment.done // moment.total} %")
        words.append(f"{self.amount(int(moment.rate))}/s")
        if moment.left is not None:
            words.append(f"{sizes.duration(moment.left)} left")
        words += [str(part) for part in (moment.volume, moment.item) if part is not None]
        self._line(one_line(", ".join(words)))


class Events(Stage):
    """One JSON object a line. A stage that is over within a second has none: what scripts run
    most often, small bundles and refusals, leaves stderr as it was."""

    interval = EVENT_INTERVAL

    def preflight(self, needs: Preflight) -> None:
        """See bundles.progress.Progress."""
        self._event(
            "preflight",
            volumes=needs.volumes,
            bytes=needs.bytes,
            needed=needs.needed,
            free=needs.free,
        )

    def _begin(self, moment: Moment) -> None:
        pass

    def _show(self, moment: Moment) -> None:
        at = moment.volume
        self._event(
            "progress",
            stage=moment.stage,
            **{self._unit or "bytes": moment.done},
            total=moment.total,
            rate=round(moment.rate),
            eta=None if moment.left is None else round(moment.left),
            volume=at and {"file": at.file, "number": at.number, "of": at.of},
            item=moment.item,
        )

    def _end(self, stage: str, seconds: float) -> None:
        if seconds >= self.interval:
            rate = round(self._done / seconds)
            self._event(
                "finished",
                stage=stage,
                **{self._unit or "bytes": self._done},
                seconds=round(seconds, 1),
                rate=rate,
            )

    def _event(self, event: str, **fields: object) -> None:
        self._line(json.dumps({"event": event, **fields}))
