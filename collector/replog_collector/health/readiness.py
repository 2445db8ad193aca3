"""Readiness checks of dependencies: run in the collector's event loop, awaited from the health thread's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from replog.cancellation import cancel_and_wait
from replog.errors import BrokerUnavailable, FatalError, InstanceIdTaken, ReplogError, StoreRefused, StoreUnavailable
from replog.telemetry import logger
from replog_collector import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from concurrent.futures import Future

_KINDS: dict[type[ReplogError], str] = {
    InstanceIdTaken: "instance_id_taken",
    BrokerUnavailable: "unavailable",
    StoreRefused: "refused",
    FatalError: "incompatible",
}
#: The name of the collector itself, whose loop did not run the checks.
HANGS = "collector"
#: Seconds in which a check ends once it is cancelled.
CANCEL_S = 0.5


class Readiness:
    """Runs ``checks``, by dependency, all of them within ``check_s``. Made in the event loop that runs them.

    Concurrent callers share one run of the checks.
    """

    def __init__(self, checks: Mapping[str, Callable[[], Awaitable[None]]], check_s: float) -> None:
        self._checks = checks
        self._check_s = check_s
        self._loop = asyncio.get_running_loop()
        self._asked: Future[dict[str, str]] | None = None
        self._logged: dict[str, str] = {}

    async def troubles(self) -> dict[str, str]:
        """The kind of error by dependency that fails; may be awaited in any event loop.

        Kinds are fixed words. Whatever tells more, such as addresses and users, is in the log alone.
        """
        if self._asked is None or self._asked.done():
            self._asked = asyncio.run_coroutine_threadsafe(self._check(), self._loop)
        answer = asyncio.wrap_future(self._asked)
        # Neither a caller that leaves nor a loop that hangs may cancel what others wait for.
        await asyncio.wait([answer], timeout=self._check_s + CANCEL_S)
        if not answer.done() or answer.cancelled():
            return {HANGS: "timeout"}
        return answer.result()

    async def update_gauges(self) -> None:
        """Run the checks, and set the gauge of each dependency; of a loop that hangs, all are 0."""
        troubles = await self.troubles()
        hangs = HANGS in troubles
        for name in self._checks:
            metrics.DEPENDENCY_UP.labels(name).set(not hangs and name not in troubles)

    def close(self) -> None:
        """Cancel a check that still runs."""
        if self._asked:
            self._asked.cancel()

    async def _check(self) -> dict[str, str]:
        tasks = {
            name: asyncio.create_task(_awaited(check), name=f"readiness check of {name}")
            for name, check in self._checks.items()
        }
        if not tasks:
            return {}
        try:
            await asyncio.wait(tasks.values(), timeout=self._check_s)
        finally:
            await cancel_and_wait(tasks.values(), timeout_s=CANCEL_S)
        found = {name: trouble for name, task in tasks.items() if (trouble := _trouble(task))}
        kinds = {name: kind for name, (kind, _) in found.items()}
        for name, (kind, text) in found.items():
            if self._logged.get(name) != kind:
                logger().warning("not_ready", dependency=name, kind=kind, error=text)
        self._logged = kinds
        return kinds


async def _awaited(check: Callable[[], Awaitable[None]]) -> None:
    await check()


def _trouble(task: asyncio.Task[None]) -> tuple[str, str] | None:
    """The kind and text of a check's error; None where it passed."""
    if not task.done() or task.cancelled():
        return "timeout", "no answer in time"
    error = task.exception()
    if error is None:
        return None
    if isinstance(error, StoreUnavailable):
        return error.kind, str(error)
    return next((kind for known, kind in _KINDS.items() if isinstance(error, known)), "error"), repr(error)
