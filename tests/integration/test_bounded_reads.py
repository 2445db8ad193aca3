"""Reads of an index part by part: what does not change is met once, wherever other entries come and go meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from replog.store.client.command import Command
from replog.store.read.bounded_reads import PEEKED, Span, entries_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from replog.store.client.connection import Connection

BEFORE, BEHIND = b"a", b"c"
START = b"b"


def members(count: int) -> list[bytes]:
    return [b"b%03d" % number for number in range(1, count + 1)]


@pytest.fixture
async def key(connection: Connection) -> AsyncIterator[bytes]:
    key = f"{connection.prefix}:{{0}}:test".encode()
    await connection.run([Command("ZADD", [key], [0, BEFORE, 0, BEHIND])])
    yield key
    await connection.run([Command("UNLINK", [key])])


async def counted(connection: Connection, key: bytes) -> list[int]:
    return await connection.run(
        [Command("ZLEXCOUNT", [key], ("-", b"(" + START)), Command("ZLEXCOUNT", [key], (b"[" + START, b"(" + BEHIND))]
    )


async def first_members(connection: Connection, key: bytes) -> list[bytes]:
    arguments = (b"[" + START, b"(" + BEHIND, "LIMIT", 0, PEEKED)
    (found,) = await connection.run([Command("ZRANGEBYLEX", [key], arguments)])
    return list(found)


def changes(count: int) -> list[Command | None]:
    """What another client may do: nothing, or take or add one at either end, or before all of them."""
    added = [Command("ZADD", [], [0, member]) for member in (b"a1", b"b000", b"b999")]
    removed = [Command("ZREM", [], [member]) for member in (BEFORE, *members(count)[:1], *members(count)[-1:])]
    return [None, *added, *removed]


@pytest.mark.parametrize("count", [0, 1, 2, PEEKED - 1, PEEKED, PEEKED + 1, 2 * PEEKED, 50])
@pytest.mark.parametrize("a_call", [1, 2, PEEKED, 500])
@pytest.mark.parametrize("peeks", [True, False])
async def test_what_stays_is_met_once(
    connection: Connection, key: bytes, count: int, a_call: int, *, peeks: bool
) -> None:
    for change in changes(count):
        await connection.run([Command("UNLINK", [key])])
        values = [BEFORE, *members(count), BEHIND]
        await connection.run([Command("ZADD", [key], [each for value in values for each in (0, value)])])
        first, size = await counted(connection, key)
        span = Span(START, first, size)
        if change:
            await connection.run([Command(change.command, [key], change.arguments)])
        if peeks:
            span = span._replace(peeked=await first_members(connection, key))
        reads = entries_of(connection, key, [span], a_call=a_call, at_once=2 * a_call)
        found = [member async for number, part in reads for member in part if number == 0]
        touched = set(change.arguments) if change else set()
        assert [each for each in found if each not in touched] == [
            each for each in members(count) if each not in touched
        ]
        assert len(set(found)) == len(found)


@pytest.mark.parametrize("count", [0, 1, PEEKED - 1])
async def test_what_was_read_before_is_not_read_again(connection: Connection, key: bytes, count: int) -> None:
    span = Span(START, 1, count, members(count))
    # The index does not have them: they can only come from the span.
    found = [part async for _, part in entries_of(connection, key, [span], a_call=500, at_once=500)]
    assert found == ([members(count)] if count else [])
