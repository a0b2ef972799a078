"""Progress on a terminal: a bar, and below it the volume and the item in hand.

What does not fit goes: on a narrow terminal first the bar, then the rate, then the percentage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from goosectl import sizes
from goosectl.output import one_line
from goosectl.progress import Moment, Stage

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

#: Seconds between two drawings. Builders report thousands of files a second.
BAR_INTERVAL = 0.1
_NARROWEST_BAR = 10  # columns


class Bar(Stage):
    """Two lines that are drawn over again, and go when the stage is over: its summary stays."""

    interval = BAR_INTERVAL
    _live: Live | None = None

    def _begin(self, moment: Moment) -> None:
        from rich.console import Console
        from rich.live import Live

        self._moment = moment
        self._console = Console(file=self._stream, highlight=False)
        self._live = Live(
            get_renderable=self._drawing,
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _show(self, moment: Moment) -> None:
        self._moment = moment

    def _clear(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _drawing(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        moment, width = self._moment, self._console.width
        stage, figures = one_line(moment.stage), self._figures(moment)
        while len(figures) > 1 and len("  ".join([stage, *figures])) > width:
            del figures[-2]
        room = width - len("  ".join([stage, *figures, ""]))
        line: RenderableType = Text("  ".join([stage, *figures]), no_wrap=True, overflow="ellipsis")
        if room >= _NARROWEST_BAR:
            grid = Table.grid(padding=(0, 2, 0, 0))
            bar = ProgressBar(moment.total, moment.done, width=min(room, 40))
            grid.add_row(Text(stage), bar, *(Text(figure, no_wrap=True) for figure in figures))
            line = grid
        below = ": ".join(str(part) for part in (moment.volume, moment.item) if part is not None)
        return Group(line, Text("  " + one_line(below), no_wrap=True, overflow="ellipsis"))

    def _figures(self, moment: Moment) -> list[str]:
        """What is said in numbers; where it is narrow the last but one goes first."""
        if not moment.total:
            if not moment.done:
                return []
            return [self.amount(moment.done), f"{self.amount(int(moment.rate))}/s"]
        left = "-:--" if moment.left is None else sizes.clock(moment.left)
        return [
            f"{100 * moment.done // moment.total:3} %",
            f"{self.amount(moment.done)} of {self.amount(moment.total)}",
            f"{self.amount(int(moment.rate))}/s",
            left,
        ]
