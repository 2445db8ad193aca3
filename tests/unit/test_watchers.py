"""Who waits for changes waits no longer than there is a reason to, and not too many do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from replog_api.admission.waiting_clients import Watchers
from replog_api.http.errors import RefusedError
from replog_api.http.request_context import visit_of

#: Longer than any of these tests may take.
FOREVER_S = 60.0


class Client:
    """A client that goes away when it is told to."""

    def __init__(self, name: str = "") -> None:
        self.gone = asyncio.Event()
        self.sent_request = False
        self.request = Request({"type": "http", "headers": []}, self._receive)
        visit_of(self.request.scope).client = name

    async def _receive(self) -> dict[str, Any]:
        if not self.sent_request:
            self.sent_request = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}


async def waits(watchers: Watchers, client: Client, wait_s: float | None = None) -> bool:
    """Let the client wait for ever; whether it was sent away before that."""
    slept = False
    async with watchers.waiting(client.request, wait_s):
        await asyncio.sleep(FOREVER_S)
        slept = True
    return not slept


async def begun(watchers: Watchers, *clients: Client) -> list[asyncio.Task[bool]]:
    """The clients waiting."""
    tasks = [asyncio.create_task(waits(watchers, client)) for client in clients]
    while not all(client.sent_request for client in clients):
        await asyncio.sleep(0)
    return tasks


async def test_time_ends_it() -> None:
    """Without an error."""
    assert await waits(Watchers(), Client(), 0.01)


@pytest.mark.parametrize("reason", ["the service stops", "the client goes"])
async def test_it_ends_when_there_is_no_reason_left(reason: str) -> None:
    """At once, and not by an error; and nobody waits in its place."""
    watchers, client = Watchers(), Client()
    (task,) = await begun(watchers, client)
    {"the service stops": watchers.end, "the client goes": client.gone.set}[reason]()
    async with asyncio.timeout(10):
        assert await task
    assert not watchers._limits


async def test_one_who_goes_takes_nobody_along() -> None:
    """The others wait on."""
    watchers, clients = Watchers(), [Client(), Client()]
    going, staying = await begun(watchers, *clients)
    clients[0].gone.set()
    async with asyncio.timeout(10):
        assert await going
    assert not staying.done()
    watchers.end()
    assert await staying


async def test_a_client_that_goes_while_the_service_stops_is_sent_away_once() -> None:
    """Whichever comes first."""
    watchers, client = Watchers(), Client()
    (task,) = await begun(watchers, client)
    client.gone.set()
    watchers.end()
    watchers.end()
    assert await task


async def test_nobody_waits_for_a_service_that_stops() -> None:
    """Who comes then is sent away."""
    watchers = Watchers()
    watchers.end()
    async with asyncio.timeout(10):
        assert await waits(watchers, Client())


async def test_too_many_are_refused() -> None:
    """Until one goes."""
    watchers, clients = Watchers(most=2), [Client(name) for name in "abc"]
    tasks = await begun(watchers, *clients[:2])
    with pytest.raises(RefusedError) as refused:
        await waits(watchers, clients[2])
    assert refused.value.problem == (503, 250102)
    assert refused.value.headers == {"Retry-After": "2"}
    clients[0].gone.set()
    assert await tasks[0]
    (last,) = await begun(watchers, clients[2])
    watchers.end()
    assert await tasks[1]
    assert await last


async def test_one_client_does_not_take_all_places() -> None:
    """However many it asks for, there are some for others; it is told that it is its own doing."""
    watchers, greedy = Watchers(most=100), [Client("greedy") for _ in range(50)]
    tasks = await begun(watchers, *greedy)
    with pytest.raises(RefusedError) as refused:
        await waits(watchers, Client("greedy"))
    assert refused.value.problem == (429, 250124)
    assert refused.value.headers == {"Retry-After": "2"}
    tasks += await begun(watchers, *(Client(f"modest {number}") for number in range(50)))
    with pytest.raises(RefusedError) as refused:
        await waits(watchers, Client("late"))
    assert refused.value.problem == (503, 250102)
    watchers.end()
    assert all(await asyncio.gather(*tasks))


@pytest.mark.parametrize("error", [ValueError, TimeoutError])
async def test_errors_are_no_end(error: type[Exception]) -> None:
    """What goes wrong inside is seen outside, also where it is a time-out of something else."""
    watchers = Watchers()
    with pytest.raises(error):
        async with watchers.waiting(Client().request, FOREVER_S):
            raise error
    assert not watchers._limits


async def test_the_time_that_was_waited_is_known() -> None:
    """So that it does not count as slowness."""
    client = Client()
    await waits(Watchers(), client, 0.05)
    assert 0.04 < visit_of(client.request.scope).waited_s < FOREVER_S
