"""The newest runs of many tasks: when each began and ended, and how.

A task's hash holds the start and the outcome of all its records, whatever these records are like. Tasks whose lists
share a bucket are read together, in one call of moderate length, and what it finds is decoded at once. As of a task's
page, a run's status may be, for a moment, behind what the record itself says.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import aclosing
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from replog.cancellation import finish_in_order
from replog.records import outcome_content, start_ms
from replog.store.client.command import Command
from replog.store.client.scripts import RUNS
from replog.store.format.keys import bucket_of, task_keys
from replog.store.read.bounded_reads import BYTES_A_CALL, completed
from replog.store.read.results import Run, TaskRuns, Versioned
from replog.store.read.versions import digest_version

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence

    from replog.store.client.pipelining import CommandRunner

#: Runs and tasks that one call reads at most, calls sent at once, and bytes of values that these find together: a run
#: has a reason of an error with it, mostly short, at most 16 KiB. The next calls are under way while these are decoded.
RUNS_A_CALL, TASKS_A_CALL, CALLS_AT_ONCE, BYTES_AT_ONCE = 1000, 50, 16, 8 * BYTES_A_CALL

_pack = msgpack.Packer().pack


class Pulse(NamedTuple):
    """Result of a small read by which the runs of some tasks are the same as when they had ``version``.

    ``seen`` is a digest of the counter of each task's list, the number of its records and the newest of them: a list
    that was emptied and filled again may have the same counter.
    """

    version: bytes
    seen: bytes


class _Call(NamedTuple):
    """Tasks that are read together, by their places among all that are asked for, and which of their runs.

    ``lists`` are the keys of their lists, two of each: of the entries, and of their order by time.
    """

    places: Sequence[int]
    lists: Sequence[bytes]
    offset: int
    limit: int


class _Lists(NamedTuple):
    """The part of its tasks' lists that one call reads, in their order.

    Of each list: its counter, the number of its records, and the ids and values of those that were asked for.
    """

    counters: list[bytes | None]
    totals: list[int]
    ids: list[list[bytes]]
    values: list[Sequence[bytes | None]]


async def task_runs(
    connection: CommandRunner, keys: Sequence[str], last: int, *, bytes_a_call: int = BYTES_A_CALL
) -> tuple[Versioned[list[TaskRuns]], Pulse]:
    """The ``last`` runs of each task of ``keys``, in this order; none where a task is unknown.

    Once a call has found ``bytes_a_call``, others read the rest of what it was to find.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    tasks: dict[int, TaskRuns] = {}
    pulses = _Pulses()
    async with aclosing(_read(connection, keys, last, bytes_a_call)) as read:
        async for call, lists in read:
            runs = zip(call.places, _runs(lists), strict=True)
            if call.offset:
                for place, later in runs:
                    tasks[place].runs.extend(later)
                continue
            pulses.add(lists)
            for (place, newest), total in zip(runs, lists.totals, strict=True):
                tasks[place] = TaskRuns(keys[place], total, [*newest])
    in_order = [tasks[place] for place in range(len(keys))]
    version = digest_version(_pack(in_order))
    return Versioned(version, in_order), Pulse(version, pulses.digest())


async def runs_version(connection: CommandRunner, keys: Sequence[str], known: Pulse | None) -> bytes | None:
    """The version of runs that were ``known``; None where they have changed since, or nothing was known."""
    if known is None:
        return None
    pulses = _Pulses()
    async with aclosing(_read(connection, keys, 1, BYTES_A_CALL)) as read:
        async for _, lists in read:
            pulses.add(lists)
    return known.version if pulses.digest() == known.seen else None


async def _read(
    connection: CommandRunner, keys: Sequence[str], last: int, bytes_a_call: int
) -> AsyncGenerator[tuple[_Call, _Lists]]:
    """All calls, those of one task in the order of its runs, each with what it read."""
    reads = _reads(connection, list(_calls(connection.prefix, keys, last)), bytes_a_call)
    async with aclosing(finish_in_order(reads, ahead=1, name="read of runs")) as steps:
        async for part, replies in steps:
            for call, reply in zip(part, replies, strict=True):
                lists = _Lists(*reply)
                if [*map(len, lists.values)] != [*map(len, lists.ids)]:
                    lists = lists._replace(values=await _completed(connection, call, lists))
                yield call, lists


async def _reads(
    connection: CommandRunner, calls: Sequence[_Call], bytes_a_call: int
) -> AsyncIterator[Coroutine[Any, Any, tuple[Sequence[_Call], list[Any]]]]:
    """Reads of some of the calls each, with their replies."""

    async def read(part: Sequence[_Call]) -> tuple[Sequence[_Call], list[Any]]:
        most = min(bytes_a_call, BYTES_AT_ONCE // len(part))
        return part, await connection.run([Command(RUNS, of.lists, (of.offset, of.limit, most)) for of in part])

    for at in range(0, len(calls), CALLS_AT_ONCE):
        yield read(calls[at : at + CALLS_AT_ONCE])


async def _completed(connection: CommandRunner, call: _Call, lists: _Lists) -> list[Sequence[bytes | None]]:
    """The values of all ids, of which the first of each task have been read."""
    tasks = zip(call.lists[::2], lists.ids, lists.values, strict=True)
    return [await completed(connection, key, ids, values) for key, ids, values in tasks]


def _calls(prefix: str, keys: Sequence[str], last: int) -> Iterator[_Call]:
    """The calls, those of one task in the order of its runs."""
    places = defaultdict[int, list[int]](list)
    for place, key in enumerate(keys):
        places[bucket_of(key)].append(place)
    size = max(1, min(TASKS_A_CALL, RUNS_A_CALL // last))
    for of_bucket in places.values():
        for at in range(0, len(of_bucket), size):
            part = of_bucket[at : at + size]
            lists = [list_key for place in part for list_key in task_keys(prefix, keys[place])[:2]]
            for offset in range(0, last, RUNS_A_CALL):
                yield _Call(part, lists, offset, min(RUNS_A_CALL, last - offset))


class _Pulses:
    """The part of tasks' lists that small reads of the newest run of each alone give, too."""

    def __init__(self) -> None:
        self._parts: tuple[list[Any], ...] = ([], [], [], [])

    def add(self, lists: _Lists) -> None:
        """The next tasks, by their newest runs: calls of any length have them in one order."""
        # A task without runs has no place there, but its number of records.
        ids, values = [ids[0] for ids in lists.ids if ids], [values[0] for values in lists.values if values]
        added: tuple[list[Any], ...] = (lists.counters, lists.totals, ids, values)
        for part, more in zip(self._parts, added, strict=True):
            part.extend(more)

    def digest(self) -> bytes:
        """A digest of all parts."""
        return digest_version(_pack(self._parts))


def _runs(lists: _Lists) -> Iterator[Iterator[Run]]:
    """The runs of each task. All are decoded at once."""
    values = [value or _NIL for value in chain.from_iterable(lists.values)]
    entries = msgpack.unpackb(b"".join([_array_head(len(values)), *values]), raw=True)
    runs = map(_run, chain.from_iterable(lists.ids), entries)
    for ids in lists.ids:
        # Consumed before the next.
        yield filter(None, islice(runs, len(ids)))


def _run(record_id: bytes, entry: list[bytes] | None) -> Run | None:
    """A run of what a task's list holds of it; None where it holds nothing."""
    if entry is None:
        return None
    start, outcome = entry
    status, ms, _ = outcome_content(outcome)
    return Run(record_id.decode(), status.name, start_ms(start), ms if status.terminal else None)


def _array_head(size: int) -> bytes:
    """The first bytes of a msgpack array, whose elements are to follow."""
    return b"\xdd" + size.to_bytes(4, "big")


#: Msgpack of nothing.
_NIL = b"\xc0"
