"""The local stack's child processes: started, watched and stopped.

Each child has its own session, so that Ctrl-C reaches only the parent. On Linux a child is killed when its parent dies.
A child's output goes to a log file, which each start overwrites.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from typing import TYPE_CHECKING

from replog.cancellation import cancel_and_wait
from replog.errors import FatalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import NoReturn

#: Seconds between SIGTERM and SIGKILL of a child.
STOP_DEADLINE_S = 15.0
#: Seconds that the tasks which watch children may take to end after they were cancelled.
WATCH_STOP_S = 1.0
#: From Linux's sys/prctl.h.
_PR_SET_PDEATHSIG = 1
_SHOWN_CHARACTERS = 400


class ChildDied(FatalError):  # noqa: N818 - named as the state it reports
    """A child ended unexpectedly; the text names it, its exit code and its log file."""


class Children:
    """The running children of one stack; each has ``stop_s`` to end after SIGTERM before it is killed."""

    def __init__(self, log_dir: Path, environment: Mapping[str, str], *, stop_s: float = STOP_DEADLINE_S) -> None:
        self._stop_s = stop_s
        self._log_dir = log_dir
        self._environment = dict(environment)
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._watches: list[asyncio.Task[None]] = []
        self._first_death: ChildDied | None = None
        self._died = asyncio.Event()

    async def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start ``command`` with ``environment`` added to the stack's own; its output goes to the log."""
        await self._spawn(name, command, environment, stdout=None)

    async def start_and_read_line(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> str:
        """Start a child as :meth:`start` does, and return the line that it prints when it is ready.

        Raises:
            ChildDied: the child ended without printing one.
        """
        child = await self._spawn(name, command, environment, stdout=asyncio.subprocess.PIPE)
        line = await child.stdout.readline() if child.stdout is not None else b""
        if not line:
            await self.death()
        return line.decode().strip()

    async def death(self) -> NoReturn:
        """Wait until a child ends unexpectedly, and raise ChildDied."""
        await self._died.wait()
        self.check()
        raise AssertionError("a child died and is not known")

    @property
    def one_died(self) -> bool:
        """True if a child has ended unexpectedly."""
        return self._first_death is not None

    def check(self) -> None:
        """Raise ChildDied if a child has ended unexpectedly."""
        if self._first_death is not None:
            raise self._first_death

    async def stop(self, order: Sequence[str]) -> None:
        """Stop the children in ``order``, one after another. Children that ignore SIGTERM are killed."""
        await cancel_and_wait(self._watches, timeout_s=WATCH_STOP_S)
        for name in order:
            if (child := self._running.get(name)) is not None:
                await _end(child, self._stop_s)
                # Not sooner: a stop that is cut short leaves the child to the next one.
                del self._running[name]

    async def _spawn(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], *, stdout: int | None
    ) -> asyncio.subprocess.Process:
        with self._log_file(name).open("wb") as log:
            child = await asyncio.create_subprocess_exec(
                *command,
                env={**self._environment, **environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log if stdout is None else stdout,
                stderr=log,
                start_new_session=True,
                preexec_fn=_death_with_parent(),
            )
        self._running[name] = child
        self._watches.append(asyncio.create_task(self._watch(name, child), name=f"watch of {name}"))
        return child

    async def _watch(self, name: str, child: asyncio.subprocess.Process) -> None:
        code = await child.wait()
        self._first_death = self._first_death or ChildDied(self._obituary(name, code))
        self._died.set()

    def _obituary(self, name: str, code: int) -> str:
        log_file = self._log_file(name)
        last_line = log_file.read_text(errors="replace").rstrip().rpartition("\n")[2][:_SHOWN_CHARACTERS]
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"{name} {how}; its log is {log_file}" + (f" and ends with: {last_line}" if last_line else "")

    def _log_file(self, name: str) -> Path:
        return self._log_dir / f"{name}.log"


async def _end(child: asyncio.subprocess.Process, within_s: float) -> None:
    if child.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        async with asyncio.timeout(within_s):
            await child.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            # Kills the whole session, because the child may have children of its own.
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()


def _death_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    # Loaded before the fork: a child should do as little as possible between fork and exec.
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
