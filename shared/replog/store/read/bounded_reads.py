"""Reads of many values, entries or records in calls of bounded size, however large what they find is.

A call takes many small things at once. Of large ones it takes some :data:`BYTES_A_CALL`, and the next call goes on
there: Redis serves other clients in between. One thing that is larger by itself comes alone.
"""

from __future__ import annotations

from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

from replog.cancellation import finish_in_order
from replog.store.client.command import Command
from replog.store.client.scripts import VALUES
from replog.store.format.keys import record_key
from replog.store.format.rows import RECORD_FIELDS, StoredRecord

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Sequence
    from typing import Any

    from replog.store.client.pipelining import CommandRunner

#: Bytes that one call may find, some more if the last thing was large: Redis takes some 5 ms for them.
BYTES_A_CALL = 1024 * 1024
#: Ids whose values are asked for in one call, and calls sent at once.
IDS_A_CALL = 250
CALLS_AT_ONCE = 4
#: Entries of an index that the first calls read, which do not know how long they are. The longest has some 16 KiB.
FIRST_ENTRIES = 128
#: Entries that are read of each part of an index while it is counted. Often these are all.
PEEKED = 16
#: Members that are read at once, each where a part of an index begins.
BEGINNINGS_AT_ONCE = 128
#: Records that are read at once, and the first of them.
RECORDS_AT_ONCE = 256
FIRST_RECORDS = 24


def values_call(key: bytes, ids: Sequence[bytes], *, wary: bool = False) -> Command:
    """The command that reads the first ``ids`` of a hash, one at least; ``wary`` where wide values are expected."""
    return Command(VALUES, [key], (BYTES_A_CALL, int(wary), *ids))


async def values_of(
    connection: CommandRunner, key: bytes, ids: Sequence[bytes], *, wary: bool = False
) -> AsyncIterator[tuple[bytes, bytes]]:
    """The ids that a hash has, with their values, in any order."""
    parts = deque(ids[i : i + IDS_A_CALL] for i in range(0, len(ids), IDS_A_CALL))
    while parts:
        asked = [parts.popleft() for _ in range(min(CALLS_AT_ONCE, len(parts)))]
        replies = await connection.run([values_call(key, part, wary=wary) for part in asked])
        for part, values in zip(asked, replies, strict=True):
            for detail_id, value in zip(part, values, strict=False):
                if value is not None:
                    yield detail_id, value
            if len(values) < len(part):
                wary = True
                parts.append(part[len(values) :])


async def completed(
    connection: CommandRunner, key: bytes, ids: Sequence[bytes], values: Sequence[bytes | None]
) -> Sequence[bytes | None]:
    """The values of all ``ids`` in a hash, in their order, of which the first ``values`` have been read."""
    if len(values) == len(ids):
        return values
    rest = ids[len(values) :]
    found = {i: value async for i, value in values_of(connection, key, rest, wary=True)}
    return [*values, *map(found.get, rest)]


async def ordered_values(
    connection: CommandRunner, key: bytes, ids: Sequence[bytes]
) -> AsyncIterator[list[tuple[bytes, bytes]]]:
    """The ids that a hash has, with their values, in their order, in steps: the first step is shorter.

    Of wide values, a step has no more than one call may find.
    """
    begin, parts_at_once, wary = 0, 1, False
    while begin < len(ids):
        end = min(len(ids), begin + parts_at_once * IDS_A_CALL)
        parts = [ids[at : min(end, at + IDS_A_CALL)] for at in range(begin, end, IDS_A_CALL)]
        replies = await connection.run([values_call(key, part, wary=wary) for part in parts])
        wary = False
        for part, values in zip(parts, replies, strict=True):
            yield [(detail_id, value) for detail_id, value in zip(part, values, strict=False) if value is not None]
            begin += len(values)
            if len(values) < len(part):
                wary = True
                break
        parts_at_once = 1 if wary else CALLS_AT_ONCE


async def entries_of(
    connection: CommandRunner, key: bytes, spans: Sequence[Span], *, a_call: int, at_once: int
) -> AsyncGenerator[tuple[int, list[bytes]]]:
    """The members of an index in ``spans``, in steps, each with the number of its span (from 0).

    A call reads some ``a_call`` of them at most, and calls for some ``at_once`` are sent together. While these are
    used, the next are on their way. Whoever leaves it early closes it. What comes or goes meanwhile may or may not be
    among them; nothing else is missed or met twice.
    """
    for number, span in enumerate(spans):
        if span.peeked:
            yield number, span.peeked
    reads = _Spans(connection, key, spans, a_call).reads(at_once)
    async with aclosing(finish_in_order(reads, ahead=1, name="read of entries")) as found:
        async for steps in found:
            for step in steps:
                yield step


class Span(NamedTuple):
    """Members of an index that begin with ``start``: so many, from a rank on, when they were counted.

    ``peeked`` are the first of them, :data:`PEEKED` or all, where these were read before.
    """

    start: bytes
    first: int
    size: int
    peeked: list[bytes] | None = None

    @property
    def is_read(self) -> bool:
        """Whether what was peeked is all of it."""
        return self.peeked is not None and len(self.peeked) < PEEKED


class _Part(NamedTuple):
    """Members of a span within bounds of ZRANGEBYLEX, of which there are about so many."""

    number: int
    low: bytes
    high: bytes
    size: int


class _Spans:
    """Spans of an index that are read part by part.

    Ranks say where the parts begin, so that many can be read at once. Members bound them, for ranks move.
    """

    def __init__(self, connection: CommandRunner, key: bytes, spans: Sequence[Span], a_call: int) -> None:
        self._connection = connection
        self._key = key
        self._spans = spans
        self._a_call = a_call
        self._widest = max((len(member) for span in spans for member in span.peeked or ()), default=0)

    async def reads(self, at_once: int) -> AsyncIterator[Coroutine[Any, Any, list[tuple[int, list[bytes]]]]]:
        """Reads of all members behind those that were peeked, of some ``at_once`` each."""
        waiting: list[_Part] = []
        async for part in self._parts():
            waiting.append(part)
            if sum(each.size for each in waiting) >= at_once:
                yield self._read(waiting)
                waiting = []
        if waiting:
            yield self._read(waiting)

    async def _parts(self) -> AsyncIterator[_Part]:
        for number, span in enumerate(self._spans):
            if span.is_read:
                continue
            start, first, size, peeked = span
            low = b"(" + peeked[-1] if peeked else b"[" + start
            left = size - len(peeked or ())
            # The last part may be longer by half: what is little is read in one trip.
            ranks = range(first + size - left + self._a_call, first + size - self._a_call // 2, self._a_call)
            for at in range(0, len(ranks), BEGINNINGS_AT_ONCE):
                asked = [Command("ZRANGE", [self._key], [rank, rank]) for rank in ranks[at : at + BEGINNINGS_AT_ONCE]]
                for members in await self._connection.run(asked):
                    # Ranks may have moved to what lies before or behind the span.
                    if members and members[0] > low[1:] and members[0].startswith(start):
                        yield _Part(number, low, b"(" + members[0], self._a_call)
                        low, left = b"[" + members[0], left - self._a_call
            yield _Part(number, low, b"(" + start + b"\xff", left)

    async def _read(self, parts: list[_Part]) -> list[tuple[int, list[bytes]]]:
        found: list[tuple[int, list[bytes]]] = []
        while parts:
            step = self._step
            calls = [Command("ZRANGEBYLEX", [self._key], [part.low, part.high, "LIMIT", 0, step]) for part in parts]
            replies = await self._connection.run(calls)
            self._widest = max(self._widest, *(max(map(len, members), default=1) for members in replies))
            found += [(part.number, members) for part, members in zip(parts, replies, strict=True)]
            parts = [
                part._replace(low=b"(" + members[-1])
                for part, members in zip(parts, replies, strict=True)
                if len(members) == step
            ]
        return found

    @property
    def _step(self) -> int:
        """Members that one call reads at most: more than a part has, unless they are long."""
        if not self._widest:
            return FIRST_ENTRIES
        return max(1, min(2 * self._a_call, BYTES_A_CALL // self._widest))


async def members_of(
    connection: CommandRunner, key: bytes, starts: Iterable[bytes], *, a_call: int, at_once: int
) -> AsyncIterator[list[bytes]]:
    """The members of an index that begin with one of ``starts``, in steps; calls are as of :func:`entries_of`.

    What comes or goes meanwhile may or may not be among them; nothing else is missed.
    """
    left, widest, step = (
        deque((b"[" + start, b"(" + start + b"\xff") for start in starts),
        1,
        min(FIRST_ENTRIES, a_call),
    )
    while left:
        asked = [left.popleft() for _ in range(min(at_once, len(left)))]
        calls = [Command("ZRANGEBYLEX", [key], [low, high, "LIMIT", 0, step]) for low, high in asked]
        for (_, high), members in zip(asked, await connection.run(calls), strict=True):
            widest = max(widest, *map(len, members)) if members else widest
            yield members
            if len(members) == step:
                left.append((b"(" + members[-1], high))
        step = max(1, min(a_call, BYTES_A_CALL // widest))


async def records_of(connection: CommandRunner, record_ids: Sequence[str]) -> list[StoredRecord]:
    """The records of these ids, in their order; also where there is no such record."""
    records: list[StoredRecord] = []
    step = FIRST_RECORDS
    while len(records) < len(record_ids):
        part = record_ids[len(records) : len(records) + step]
        keys = [record_key(connection.prefix, record_id) for record_id in part]
        rows = await connection.run([Command("HMGET", [key], RECORD_FIELDS) for key in keys])
        records += [StoredRecord(record_id, tuple(row)) for record_id, row in zip(part, rows, strict=True)]
        step = max(1, min(RECORDS_AT_ONCE, BYTES_A_CALL // max(map(_size, records[-len(part) :]))))
    return records


def _size(record: StoredRecord) -> int:
    """Bytes of what may be long in a record, and at least 1."""
    _, facts, outcome, *_ = record.fields
    return 1 + len(facts or b"") + len(outcome or b"")
