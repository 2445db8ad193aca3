"""Who waits for changes waits no longer than there is a reason to, and not too many do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from replog_api.admission.waiting_clients import WaitingClients
from replog_api.http.errors import RefusedError
from replog_api.http.request_context import context_of

#: Longer than any of these tests may take.
FOREVER_S = 60.0


class Client:
    """A client that goes away when it is told to."""

    def __init__(self, name: str = "") -> None:
        self.gone = asyncio.Event()
        self.sent_request = False
        self.request = Request({"type": "http", "headers": []}, self._receive)
        context_of(self.request.scope).client = name

    async def _receive(self) -> dict[str, Any]:
        if not self.sent_request:
            self.sent_request = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}


async def waits(waiting_clients: WaitingClients, client: Client, wait_s: float | None = None) -> bool:
    """Let the client wait for ever; whether it was sent away before that."""
    slept = False
    async with waiting_clients.waiting(client.request, wait_s):
        await asyncio.sleep(FOREVER_S)
        slept = True
    return not slept


async def begun(waiting_clients: WaitingClients, *clients: Client) -> list[asyncio.Task[bool]]:
    """The clients waiting."""
    tasks = [asyncio.create_task(waits(waiting_clients, client)) for client in clients]
    while not all(client.sent_request for client in clients):
        await asyncio.sleep(0)
    return tasks


async def test_time_ends_it() -> None:
    """Without an error."""
    assert await waits(WaitingClients(), Client(), 0.01)


@pytest.mark.parametrize("reason", ["the service stops", "the client goes"])
async def test_it_ends_when_there_is_no_reason_left(reason: str) -> None:
    """At once, and not by an error; and nobody waits in its place."""
    waiting_clients, client = WaitingClients(), Client()
    (task,) = await begun(waiting_clients, client)
    {"the service stops": waiting_clients.end, "the client goes": client.gone.set}[reason]()
    async with asyncio.timeout(10):
        assert await task
    assert not waiting_clients._limits


async def test_one_who_goes_takes_nobody_along() -> None:
    """The others wait on."""
    waiting_clients, clients = WaitingClients(), [Client(), Client()]
    going, staying = await begun(waiting_clients, *clients)
    clients[0].gone.set()
    async with asyncio.timeout(10):
        assert await going
    assert not staying.done()
    waiting_clients.end()
    assert await staying


async def test_a_client_that_goes_while_the_service_stops_is_sent_away_once() -> None:
    """Whichever comes first."""
    waiting_clients, client = WaitingClients(), Client()
    (task,) = await begun(waiting_clients, client)
    client.gone.set()
    waiting_clients.end()
    waiting_clients.end()
    assert await task


async def test_nobody_waits_for_a_service_that_stops() -> None:
    """Who comes then is sent away."""
    waiting_clients = WaitingClients()
    waiting_clients.end()
    async with asyncio.timeout(10):
        assert await waits(waiting_clients, Client())


async def test_too_many_are_refused() -> None:
    """Until one goes."""
    waiting_clients, clients = WaitingClients(most=2), [Client(name) for name in "abc"]
    tasks = await begun(waiting_clients, *clients[:2])
    with pytest.raises(RefusedError) as refused:
        await waits(waiting_clients, clients[2])
    assert refused.value.problem == (503, 250102)
    assert refused.value.headers == {"Retry-After": "2"}
    clients[0].gone.set()
    assert await tasks[0]
    (last,) = await begun(waiting_clients, clients[2])
    waiting_clients.end()
    assert await tasks[1]
    assert await last


async def test_one_client_does_not_take_all_places() -> None:
    """However many it asks for, there are some for others; it is told that it is its own doing."""
    waiting_clients, greedy = WaitingClients(most=100), [Client("greedy") for _ in range(50)]
    tasks = await begun(waiting_clients, *greedy)
    with pytest.raises(RefusedError) as refused:
        await waits(waiting_clients, Client("greedy"))
    assert refused.value.problem == (429, 250124)
    assert refused.value.headers == {"Retry-After": "2"}
    tasks += await begun(waiting_clients, *(Client(f"modest {number}") for number in range(50)))
    with pytest.raises(RefusedError) as refused:
        await waits(waiting_clients, Client("late"))
    assert refused.value.problem == (503, 250102)
    waiting_clients.end()
    assert all(await asyncio.gather(*tasks))


@pytest.mark.parametrize("error", [ValueError, TimeoutError])
async def test_errors_are_no_end(error: type[Exception]) -> None:
    """What goes wrong inside is seen outside, also where it is a time-out of something else."""
    waiting_clients = WaitingClients()
    with pytest.raises(error):
        async with waiting_clients.waiting(Client().request, FOREVER_S):
            raise error
    assert not waiting_clients._limits


async def test_the_time_that_was_waited_is_known() -> None:
    """So that it does not count as slowness."""
    client = Client()
    await waits(WaitingClients(), client, 0.05)
    assert 0.04 < context_of(client.request.scope).waited_s < FOREVER_S
