"""An event loop with a virtual clock, in which several *processes* live and are killed, frozen and gone on with.

Nothing in it is real: no thread, no socket, no time. Each callback takes some virtual microseconds, so that a timer or
an answer may come between any two of them. Which process runs its next callback is drawn from a seeded generator; the
callbacks of one process keep their order, as asyncio promises. What is due at the same time comes in a drawn order.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import events
from collections import deque
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from random import Random

#: Virtual seconds that the clock begins with; a monotonic clock never shows 0.
BEGIN_S = 1000.0
#: Virtual seconds that one callback takes at most.
CALLBACK_S = 0.000_02
#: Times that what is left of a simulation is cancelled, and virtual seconds between two.
BURIAL_ROUNDS, BURIAL_S = 50, 0.5


class Process:
    """What runs in the contexts that name it, and in those that they start."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        #: Tasks that have not ended. Those of a killed process stay here, so that nothing cleans them up.
        self.tasks: set[asyncio.Task[Any]] = set()
        #: Callbacks in their order. Those of a killed process are kept until :meth:`SimulatedLoop.bury`.
        self.ready: deque[events.Handle] = deque()
        self.frozen = False

    def __repr__(self) -> str:
        return self.name


#: The process whose code runs; the world itself is one.
PROCESS: contextvars.ContextVar[Process] = contextvars.ContextVar("process")


class DeadlockError(Exception):
    """Nothing is left to run, and the simulation is not at its end."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """The loop. ``chance`` decides what runs next."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._random = chance.random
        self.now_s = BEGIN_S
        self._timers: list[tuple[float, float, int, events.TimerHandle]] = []
        self._numbers = count()
        self._runnable: list[Process] = []
        #: The world's own process; its context is that of servers and faults.
        self.world = Process("world")
        self.world_context = contextvars.Context()
        self.world_context.run(PROCESS.set, self.world)
        #: Callbacks run so far.
        self.steps = 0
        #: Called with an error of a callback or task that nobody handles.
        self.on_failure: Callable[[str, BaseException | None], None] = lambda *_: None
        self.set_task_factory(_make_task)  # type: ignore[arg-type] # typed more loosely
        self.set_exception_handler(self._note_failure)

    def time(self) -> float:
        """Virtual seconds."""
        return self.now_s

    def call_soon(  # type: ignore[override] # typed more loosely
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> events.Handle:
        """As asyncio does; a callback of a killed process never runs."""
        handle = events.Handle(callback, args, self, context)
        self._make_ready(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment] # as above

    def call_at(  # type: ignore[override] # as above
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> events.TimerHandle:
        """As asyncio does; what is due at the same time comes in a drawn order."""
        timer = events.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, self._random(), next(self._numbers), timer))
        return timer

    def call_later(  # type: ignore[override] # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> events.TimerHandle:
        """As asyncio does."""
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def in_world(self, delay_s: float, callback: Callable[..., object], *args: Any) -> events.TimerHandle:
        """Call a part of the world, as a server, later: it runs whatever becomes of the process that asks for it."""
        return self.call_at(self.now_s + delay_s, callback, *args, context=self.world_context)

    def start(self, process: Process, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Start the first task of ``process``."""
        context = contextvars.Context()
        context.run(PROCESS.set, process)
        return context.run(lambda: self.create_task(work, name=f"{process.name}: {name}"))

    def kill(self, process: Process) -> None:
        """End a process at the await where each of its tasks is: nothing of it runs any more, no cleanup either."""
        process.alive = False
        self._forget(process)

    def freeze(self, process: Process) -> None:
        """Stop a process, as SIGSTOP does: it runs nothing, and goes on later where it was."""
        process.frozen = True
        self._forget(process)

    def thaw(self, process: Process) -> None:
        """Let a frozen process go on."""
        if process.frozen:
            process.frozen = False
            if process.ready and process.alive:
                self._runnable.append(process)

    def bury(self, processes: Iterable[Process]) -> None:
        """End what is left of ``processes``, killed or not, once the simulation is over and nobody looks any more.

        Their tasks are cancelled until they end: what asyncio would find of them later, it would log.
        """
        mourned = list(processes)
        self._runnable = [process for process in self._runnable if process not in mourned]
        for process in mourned:
            process.alive, process.frozen = True, False
            if process.ready:
                self._runnable.append(process)
        for _ in range(BURIAL_ROUNDS):
            tasks = [task for process in mourned for task in process.tasks]
            if not tasks:
                return
            for task in tasks:
                task.cancel()
            self.in_world(BURIAL_S, self.stop)
            self.run_forever()

    def stop(self) -> None:
        """Stop running, after this callback."""
        self._stopping = True

    def close(self) -> None:
        """Drop all that is left."""
        self._timers.clear()
        self._runnable.clear()
        super().close()

    def _forget(self, process: Process) -> None:
        if process in self._runnable:
            self._runnable.remove(process)

    def _make_ready(self, handle: events.Handle) -> None:
        process = handle._context.get(PROCESS) or self.world  # type: ignore[attr-defined] # not in the stubs
        if not process.ready and process.alive and not process.frozen:
            self._runnable.append(process)
        process.ready.append(handle)

    def _run_once(self) -> None:
        runnable, timers, draw = self._runnable, self._timers, self._random
        while not self._stopping:
            if not runnable and not self._skip_to_next_timer():
                raise DeadlockError
            number = int(draw() * len(runnable)) if len(runnable) > 1 else 0
            process = runnable[number]
            handle = process.ready.popleft()
            if not process.ready:
                runnable[number] = runnable[-1]
                runnable.pop()
            if not handle._cancelled:
                self.steps += 1
                handle._run()
            self.now_s += CALLBACK_S * draw()
            while timers and timers[0][0] <= self.now_s:
                self._take_timer()

    def _skip_to_next_timer(self) -> bool:
        timers = self._timers
        while not self._runnable and timers:
            self.now_s = max(self.now_s, timers[0][0])
            self._take_timer()
        while timers and timers[0][0] <= self.now_s:
            self._take_timer()
        return bool(self._runnable)

    def _take_timer(self) -> None:
        timer = heappop(self._timers)[-1]
        if not timer._cancelled:
            self._make_ready(timer)

    def _timer_handle_cancelled(self, handle: events.TimerHandle) -> None:
        """Nothing: cancelled timers are passed over when they are due."""

    def _process_events(self, event_list: list[object]) -> None:
        """Nothing: there is no selector."""

    def _write_to_self(self) -> None:
        """Nothing: there is no other thread."""

    def _note_failure(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, what = context.get("exception"), context.get("task") or context.get("future") or context.get("handle")
        self.on_failure(f"{context['message']}: {error!r} ({what!r})", error)


def _make_task(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
    process = PROCESS.get(None)
    if process is not None:
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
    return task
