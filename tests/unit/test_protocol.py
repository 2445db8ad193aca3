"""A client that takes nothing is cut off; one that is slow is not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn

from replog_api.admission.waiting_clients import END_WAITING
from replog_api.server.connections import ConnectionLimits, Connections, Drain
from replog_api.server.protocol import BoundedProtocol

LIMITS = ConnectionLimits()


class Timer:
    """What is to be called after some seconds, unless it is cancelled."""

    def __init__(self, after_s: float, call: Any, arguments: Any) -> None:
        self.after_s = after_s
        self._call = call
        self._arguments = arguments
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def run(self) -> None:
        self._call(*self._arguments)


class Loop:
    """A loop whose time does not pass by itself."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, after_s: float, call: Any, *arguments: Any) -> Timer:
        self.timers.append(Timer(after_s, call, arguments))
        return self.timers[-1]

    def waiting(self) -> list[Timer]:
        """What is still to be called."""
        return [timer for timer in self.timers if not timer.cancelled]


class Transport(asyncio.Transport):
    """A connection on which ``unsent`` bytes wait."""

    unsent = 0
    aborted = closed = False

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted or self.closed

    def close(self) -> None:
        """Nothing waits here."""
        self.closed = True


async def no_app(scope: Any, receive: Any, send: Any) -> None:
    """Nothing is asked here."""


class Connection:
    """A protocol on a transport and a loop of its own."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.transport = Transport()
        self.ends = 0
        config = uvicorn.Config(no_app, log_config=None)
        loop: Any = self.loop
        self.protocol = BoundedProtocol(config, Connections(LIMITS, Drain()), {END_WAITING: self._end}, loop)
        self.protocol.connection_made(self.transport)
        # That it asks at all is waited for, too: see the tests of silent clients.
        self.first_request = self.loop.timers.pop()

    def _end(self) -> None:
        self.ends += 1

    def look(self) -> None:
        """Let the time of the next look come."""
        (timer,) = self.loop.waiting()
        timer.cancelled = True
        timer.run()

    def fill(self, unsent: int) -> None:
        """The client takes less than comes."""
        self.transport.unsent = unsent
        self.protocol.pause_writing()


@pytest.fixture
def connection() -> Connection:
    """One on which nothing waits."""
    return Connection()


def test_one_that_takes_nothing_is_cut_off(connection: Connection) -> None:
    """Not before its time is over."""
    connection.fill(70_000)
    assert [timer.after_s for timer in connection.loop.waiting()] == [LIMITS.stalled_s]
    assert not connection.transport.aborted
    connection.look()
    assert connection.transport.aborted


def test_one_that_takes_a_little_is_not(connection: Connection) -> None:
    """Until it takes nothing any more."""
    connection.fill(70_000)
    for unsent in (69_999, 50_000, 20_000):
        connection.transport.unsent = unsent
        connection.look()
        assert not connection.transport.aborted
    connection.look()
    assert connection.transport.aborted


@pytest.mark.parametrize("end", ["resume_writing", "connection_lost"])
def test_one_that_has_taken_most_is_looked_at_no_more(connection: Connection, end: str) -> None:
    """Nor one that is gone."""
    connection.fill(70_000)
    getattr(connection.protocol, end)(*([None] if end == "connection_lost" else []))
    assert not connection.loop.waiting()


def test_a_stop_has_less_patience(connection: Connection) -> None:
    """With who takes nothing; who waits for changes is sent away."""
    connection.fill(70_000)
    connection.protocol.shutdown()
    assert connection.ends == 1
    look = next(timer for timer in connection.loop.waiting() if timer.after_s == LIMITS.stalled_at_stop_s)
    look.run()
    assert connection.transport.aborted


def test_a_stop_waits_for_one_that_was_just_opened(connection: Connection) -> None:
    """Its request may be on its way; but not for as long as before."""
    connection.protocol.shutdown()
    assert connection.ends == 1
    assert connection.first_request.cancelled
    assert not connection.transport.is_closing()
    assert sorted(timer.after_s for timer in connection.loop.waiting()) == sorted(
        [LIMITS.head_at_stop_s, LIMITS.finished_at_stop_s]
    )
    min(connection.loop.waiting(), key=lambda timer: timer.after_s).run()
    assert connection.transport.closed
