"""Deadlines of many short operations, which share one timer of the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class Deadlines:
    """Calls back for each operation of one event loop that is not over ``after_s`` seconds after it began.

    Nearly all are over by then. To start and cancel a timer for each takes five times as long.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        #: In the order in which they began, which is that of their deadlines.
        self._under_way: dict[Hashable, tuple[float, Callable[[], None]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, operation: Hashable, late: Callable[[], None]) -> None:
        """Call ``late`` once at the deadline, unless ``operation`` ends before.

        It is called in the context of the operation that started the timer, which may be another one.
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + self._after_s
        self._under_way[operation] = due, late
        if self._timer is None:
            self._timer = loop.call_at(due, self._look)

    def end(self, operation: Hashable) -> None:
        """Forget an operation; it may be one whose deadline is over."""
        self._under_way.pop(operation, None)

    def _look(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._under_way:
            operation, (due, late) = next(iter(self._under_way.items()))
            if due > now:
                self._timer = loop.call_at(due, self._look)
                return
            del self._under_way[operation]
            late()
