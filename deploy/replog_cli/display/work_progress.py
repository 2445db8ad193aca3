"""Progress of long work, on stderr: a moving line on a terminal, and a line from time to time elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.text import Text

from replog_cli.display.estimate import Estimate
from replog_cli.display.formatting import duration, number

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console

#: Seconds between two lines where there is no terminal.
LINE_EVERY_S = 10.0
_BAR_WIDTH = 24


class WorkProgress:
    """Shows how far work has come, with its rate and the time left. ``unit`` is what is counted, in the plural."""

    def __init__(
        self,
        console: Console,
        unit: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        line_every_s: float = LINE_EVERY_S,
    ) -> None:
        self._console = console
        self._unit = unit
        self._clock = clock
        self._line_every_s = line_every_s
        self._estimate = Estimate(clock())
        self._lined_s = clock()
        self._step = ""
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, transient=True, refresh_per_second=8)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.__exit__(kind, error, trace)

    def begin(self, step: str) -> None:
        """Name the step of the work that begins; its numbers start anew."""
        self._step, self._estimate, self._lined_s = f"{step}: ", Estimate(self._clock()), self._clock()
        self._show(Text(step))

    def update(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are done."""
        now_s = self._clock()
        self._estimate.observe(now_s, done)
        if self._live:
            self._live.update(Text(self._line(done, total, now_s, bar=True)))
        elif now_s >= self._lined_s + self._line_every_s:
            self._lined_s = now_s
            self._show(Text(self._line(done, total, now_s, bar=False)))

    def _show(self, text: Text) -> None:
        if self._live:
            self._live.update(text)
        else:
            self._console.print(text)

    def _line(self, done: int, total: int, now_s: float, *, bar: bool) -> str:
        share = min(1.0, done / total) if total else 1.0
        parts = [f"{self._step}{number(done)} of {number(total)} {self._unit}", f"{share:.0%}"]
        if rate := self._estimate.rate_per_s(now_s):
            parts.append(f"{number(rate)}/s")
        if (left_s := self._estimate.remaining_s(now_s, total)) is not None:
            parts.append(f"{duration(left_s)} left")
        filled = int(share * _BAR_WIDTH)
        return ("█" * filled + "░" * (_BAR_WIDTH - filled) + " " if bar else "") + ", ".join(parts)
