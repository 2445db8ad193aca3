"""A process that is to end does so in time, whatever it waits for."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from replog.errors import TooManyDeadLetters
from replog_collector.shutdown import Limits, Shutdown

if TYPE_CHECKING:
    from collections.abc import Callable

#: All that a test does has long ended before this.
NEVER_S = 3600.0
LATER = Limits(NEVER_S, NEVER_S, NEVER_S)
AT_ONCE = Limits(0.01, 0.02, NEVER_S)


class Ending:
    """Notes the exit code that the process was ended with."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.over = threading.Event()

    def __call__(self, code: int) -> None:
        self.codes.append(code)
        self.over.set()


async def for_ever() -> None:
    await asyncio.Event().wait()


async def stubborn() -> None:
    """Swallows one cancellation, as drivers do."""
    try:
        await for_ever()
    except asyncio.CancelledError:
        await for_ever()


async def test_work_that_ends_in_time_is_not_disturbed() -> None:
    shutdown, stopping, steps = Shutdown(LATER), asyncio.Event(), []

    async def work() -> None:
        await stopping.wait()
        steps.append("work")

    async def leave() -> None:
        steps.append("leave")

    running = asyncio.create_task(shutdown.work(work(), name="work"))
    await asyncio.sleep(0)
    shutdown.request()
    stopping.set()
    await running
    await shutdown.leave(group=leave)
    assert steps == ["work", "leave"]


@pytest.mark.parametrize("work", [for_ever, stubborn])
async def test_what_does_not_end_is_cut_off(work: Callable[[], object]) -> None:
    """It is over then, and what comes after it has its turn."""
    shutdown, left, ended = Shutdown(AT_ONCE), [], []

    async def watched() -> None:
        try:
            await work()  # type: ignore[misc]
        finally:
            ended.append("work")

    async def leave() -> None:
        left.append("left")

    running = asyncio.create_task(shutdown.work(watched(), name="work"))
    await asyncio.sleep(0)
    assert not running.done()
    shutdown.request()
    async with asyncio.timeout(10):
        await running
        assert ended == ["work"]
        await shutdown.leave(broken=stubborn, good=leave)
    assert left == ["left"]


async def test_the_time_is_counted_from_the_first_request() -> None:
    """Steps that are slow do not add up, nor does a second signal begin anew."""
    shutdown = Shutdown(Limits(0.2, 0.2, NEVER_S))
    shutdown.request()
    began_s = time.monotonic()
    await shutdown.work(for_ever(), name="work")
    shutdown.request()
    for _ in range(20):
        await shutdown.leave(group=for_ever)
    assert time.monotonic() - began_s < 20 * 0.2


async def test_what_work_and_leaving_raise_is_raised() -> None:
    shutdown = Shutdown(LATER)

    async def fails() -> None:
        raise TooManyDeadLetters("a limit")

    with pytest.raises(TooManyDeadLetters):
        await shutdown.work(fails(), name="work")
    with pytest.raises(TooManyDeadLetters):
        await shutdown.leave(group=fails)


@pytest.mark.parametrize(
    ("failure", "code"), [(None, 0), (TooManyDeadLetters("a limit"), 3), (RuntimeError("a bug"), 1)], ids=repr
)
async def test_a_process_that_does_not_get_to_its_end_is_ended(
    failure: Exception | None, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a thread of its own, with the exit code that it was to have, and its line."""
    ending = Ending()
    shutdown = Shutdown(Limits(0.0, 0.0, 0.05), end=ending)

    async def work() -> None:
        if failure:
            raise failure

    try:
        await shutdown.work(work(), name="work")
    except (TooManyDeadLetters, RuntimeError) as error:
        assert error is failure  # noqa: PT017 - whether it is raised is another test's
    # As where the loop hangs in what nobody can cancel.
    assert ending.over.wait(10)
    assert ending.codes == [code]
    if code == 3:
        assert "a limit" in capsys.readouterr().err.splitlines()


async def test_work_that_is_cancelled_from_outside_is_over() -> None:
    shutdown, ended = Shutdown(LATER), []

    async def watched() -> None:
        try:
            await for_ever()
        finally:
            ended.append("work")

    running = asyncio.create_task(shutdown.work(watched(), name="work"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert ended == ["work"]
    assert running.cancelled()


async def test_leaving_that_is_cancelled_from_outside_is_over() -> None:
    shutdown, ended = Shutdown(LATER), []

    async def step() -> None:
        try:
            await for_ever()
        finally:
            ended.append("step")

    leaving = asyncio.create_task(shutdown.leave(group=step))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert ended == ["step"]
    assert leaving.cancelled()
