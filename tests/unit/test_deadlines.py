"""Operations that take too long are called back, and no others, by one timer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from replog.deadlines import Deadlines

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class CountedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time a test sets, and that counts the timers which are started."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.timers = 0

    def time(self) -> float:
        return self.now_s

    def call_at(self, *arguments: Any, **options: Any) -> asyncio.TimerHandle:  # type: ignore[override] # typed more loosely
        self.timers += 1
        return super().call_at(*arguments, **options)


def run(test: Callable[[CountedLoop], Coroutine[Any, Any, None]]) -> None:
    """Run ``test`` on such a loop."""
    with asyncio.Runner(loop_factory=CountedLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, CountedLoop)
        runner.run(test(loop))


async def passed(loop: CountedLoop, now_s: float) -> None:
    """Let it be so late, and let the loop do what is due."""
    loop.now_s = now_s
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def _late_ones(loop: CountedLoop) -> None:
    late: list[str] = []
    deadlines = Deadlines(10)
    for begun_s, name in enumerate(["first", "over", "last"]):
        loop.now_s = begun_s
        deadlines.begin(name, lambda name=name: late.append(name))  # type: ignore[misc]
    deadlines.end("over")
    await passed(loop, 9.9)
    assert not late
    await passed(loop, 10)
    assert late == ["first"]
    await passed(loop, 11.9)
    assert late == ["first"]
    await passed(loop, 12)
    assert late == ["first", "last"]
    deadlines.end("first")
    await passed(loop, 100)
    assert late == ["first", "last"]


def test_what_is_not_over_in_time_is_called_back_once() -> None:
    """In the order in which they began, each at its own deadline."""
    run(_late_ones)


async def _many_short_ones(loop: CountedLoop) -> None:
    deadlines = Deadlines(10)
    for number in range(1000):
        loop.now_s = number / 100
        deadlines.begin(number, lambda: None)
        deadlines.end(number)
    assert loop.timers == 1
    # The timer of what is over finds nothing, and the next operation starts another.
    await passed(loop, 20)
    deadlines.begin("next", lambda: None)
    assert loop.timers == 2


def test_many_share_a_timer() -> None:
    """However many are over in time."""
    run(_many_short_ones)


async def _begins_another(loop: CountedLoop) -> None:
    deadlines = Deadlines(10)
    late: list[float] = []

    def again() -> None:
        late.append(loop.now_s)
        deadlines.begin("again", lambda: late.append(loop.now_s))

    deadlines.begin("first", again)
    for now_s in (10, 19, 20):
        await passed(loop, now_s)
    assert late == [10, 20]


def test_a_callback_may_begin_another_operation() -> None:
    """Its deadline is as far off as any."""
    run(_begins_another)
