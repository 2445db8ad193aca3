from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from replog_api.server.write_coalescing import MAX_JOINED_BYTES, WriteCoalescingTransport


class Transport:
    """What was done, in order: the bytes of each write, and the closing."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def writelines(self, parts: list[bytes]) -> None:
        self.done.append(b"".join(parts))

    def close(self) -> None:
        self.done.append("closed")

    def get_extra_info(self, name: str) -> str:
        return f"the {name}"


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
async def joined(transport: Transport) -> WriteCoalescingTransport:
    return WriteCoalescingTransport(cast("asyncio.Transport", transport), asyncio.get_running_loop())


async def a_step() -> None:
    await asyncio.sleep(0)


async def test_what_one_step_writes_is_sent_as_one(joined: WriteCoalescingTransport, transport: Transport) -> None:
    joined.write(b"head ")
    joined.write(b"body")
    assert transport.done == []
    await a_step()
    assert transport.done == [b"head body"]
    joined.write(b"next")
    await a_step()
    await a_step()
    assert transport.done == [b"head body", b"next"]


async def test_much_is_sent_at_once(joined: WriteCoalescingTransport, transport: Transport) -> None:
    joined.write(b"head ")
    joined.write(b"." * MAX_JOINED_BYTES)
    assert len(transport.done) == 1
    joined.write(b"more")
    await a_step()
    await a_step()
    assert transport.done[1:] == [b"more"]


async def test_what_is_written_is_sent_before_it_closes(joined: WriteCoalescingTransport, transport: Transport) -> None:
    joined.write(b"last words")
    joined.close()
    await a_step()
    assert transport.done == [b"last words", "closed"]


async def test_all_else_is_the_transports(joined: WriteCoalescingTransport) -> None:
    assert joined.get_extra_info("peer") == "the peer"
