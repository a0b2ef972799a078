"""How far a long operation is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from goosectl import sizes
from goosectl.output import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

#: Seconds between two plain lines: a log of an hour's import stays below a thousand lines.
LINE_INTERVAL = 5.0
#: Seconds between two drawings of the bar. Builders report thousands of files a second.
BAR_INTERVAL = 0.1


class Stage:
    """Counts, and hands on no more often than its interval says."""

    interval: float

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._stage: str | None = None
        self._total: int | None = None
        self._done = 0
        self._started = self._shown = 0.0

    def start(self, stage: str, total: int | None) -> None:
        """See bundles.progress.Progress; a stage that was not finished ends here."""
        self.finish()
        self._stage, self._total, self._done = stage, total, 0
        self._started = self._shown = self._clock()
        self._begin(stage)

    def advance(self, count: int, item: str | None = None) -> None:
        """See bundles.progress.Progress."""
        self._done += count
        now = self._clock()
        if self._stage is not None and now - self._shown >= self.interval:
            self._shown = now
            self._show(self._stage, item)

    def finish(self) -> None:
        """See bundles.progress.Progress; does nothing when no stage is under way."""
        if self._stage is not None:
            stage, self._stage = self._stage, None
            self._end(stage)

    def abandon(self) -> None:
        """The operation failed: nothing more is shown, least of all that its stage is over."""
        if self._stage is not None:
            self._stage = None
            self._clear()

    def _begin(self, stage: str) -> None:
        raise NotImplementedError

    def _show(self, stage: str, item: str | None) -> None:
        raise NotImplementedError

    def _end(self, stage: str) -> None:
        raise NotImplementedError

    def _clear(self) -> None:
        raise NotImplementedError


class Lines(Stage):
    """Plain lines: one when a stage starts, one every few seconds, one when it ends."""

    interval = LINE_INTERVAL

    def _begin(self, stage: str) -> None:
        self._line(stage if self._total is None else f"{stage}: {sizes.text(self._total)}")

    def _show(self, stage: str, item: str | None) -> None:
        rate = self._done / max(self._shown - self._started, 1e-9)
        words = [f"{stage}: {sizes.text(self._done)}"]
        if self._total:
            words[0] += f" of {sizes.text(self._total)}"
            words.append(f"{100 * self._done // self._total} %")
        words.append(f"{sizes.text(int(rate))}/s")
        if self._total and rate:
            words.append(f"{max(self._total - self._done, 0) / rate:.0f} s left")
        if item is not None:
            words.append(item)
        self._line(", ".join(words))

    def _end(self, stage: str) -> None:
        seconds = self._clock() - self._started
        rate = f", {sizes.text(int(self._done / seconds))}/s" if seconds >= 1 else ""
        what = sizes.text(self._done) if self._done or self._total else "done"
        self._line(f"{stage}: {what} in {seconds:.1f} s{rate}")

    def _clear(self) -> None:
        pass

    def _line(self, text: str) -> None:
        self._stream.write(printable(text) + "\n")
        self._stream.flush()


class Bar(Stage):
    """A bar with bytes, rate and the time that is left."""

    interval = BAR_INTERVAL

    def _begin(self, stage: str) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bar: RichProgress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=False),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(file=self._stream),
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task(printable(stage), total=self._total)
        self._bar.start()

    def _show(self, stage: str, item: str | None) -> None:
        self._bar.update(self._task, completed=self._done)

    def _end(self, stage: str) -> None:
        # A stage of unknown length is complete when it ends, however long it turned out.
        total = self._done if self._total is None else self._total
        self._bar.update(self._task, completed=self._done, total=total)
        self._bar.stop()

    def _clear(self) -> None:
        self._bar.stop()
