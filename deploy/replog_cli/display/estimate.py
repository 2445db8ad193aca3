"""Rate and expected end of work, from how much was done when. Pure."""

from __future__ import annotations

from collections import deque

#: Seconds over which the rate is the average. Before there are so many, it is that since the start.
WINDOW_S = 60.0


class Estimate:
    """The rate of one growing number. Times are seconds on any one clock."""

    def __init__(self, started_s: float, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._samples = deque([(started_s, 0.0)])

    def observe(self, at_s: float, done: float) -> None:
        """Note that ``done`` was reached at ``at_s``. If it fell, as in a new attempt, the rate begins again."""
        if done < self._samples[-1][1]:
            self._samples = deque([(at_s, done)])
            return
        self._samples.append((at_s, done))
        # The second sample that is old enough replaces the first, so that the rest covers a window.
        while len(self._samples) > 1 and self._samples[1][0] <= at_s - self._window_s:
            self._samples.popleft()

    def rate_per_s(self, now_s: float) -> float | None:
        """The average rate until now, so that it falls while nothing happens; None before anything was done."""
        (from_s, from_done), (_, done) = self._samples[0], self._samples[-1]
        if done <= from_done or now_s <= from_s:
            return None
        return (done - from_done) / (now_s - from_s)

    def remaining_s(self, now_s: float, total: float) -> float | None:
        """Seconds until ``total`` is reached at this rate; None if there is no rate."""
        per_s = self.rate_per_s(now_s)
        if per_s is None:
            return None
        # Between two events the work goes on, so the time since the last one is not added again.
        at_s, done = self._samples[-1]
        return max(0.0, (total - done) / per_s - (now_s - at_s))
