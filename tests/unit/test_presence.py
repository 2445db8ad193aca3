"""A client that leaves ends what is read for it, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from replog.deadlines import Deadlines
from replog_api.http.presence import ClientLeftError, WhilePresent


class Client:
    """A client that goes away when it is told to."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.listened = 0

    async def receive(self) -> dict[str, Any]:
        self.listened += 1
        if self.listened == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}


def listeners() -> list[str]:
    """The tasks that listen to clients."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("disconnect listener")]


async def test_who_leaves_is_noticed() -> None:
    """The block is cancelled, and the cancellation ends there."""
    client = Client()
    asyncio.get_running_loop().call_later(0.02, client.gone.set)
    async with asyncio.timeout(10):
        with pytest.raises(ClientLeftError):
            async with WhilePresent(client.receive, Deadlines(0.0)):
                await asyncio.Event().wait()
        await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task
    assert not task.cancelling()


async def test_short_reads_are_not_listened_to() -> None:
    """Listening costs more than they do."""
    client = Client()
    async with WhilePresent(client.receive, Deadlines(10)):
        await asyncio.sleep(0)
    assert client.listened == 0
    assert not listeners()


async def test_listening_ends_with_the_block() -> None:
    """Who leaves later cancels nothing."""
    client = Client()
    async with asyncio.timeout(10):
        async with WhilePresent(client.receive, Deadlines(0.0)):
            while client.listened < 2:
                await asyncio.sleep(0)
        assert not listeners()
        client.gone.set()
        await asyncio.sleep(0)


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_errors_of_the_block_are_its_own(error: type[BaseException]) -> None:
    """Also a cancellation that comes from elsewhere."""
    with pytest.raises(error):
        async with WhilePresent(Client().receive, Deadlines(0.0)):
            raise error
