"""The newest runs of many tasks: when each began and ended, and how.

A task's hash holds the start and the outcome of all its records, whatever these records are like. Tasks whose lists
share a bucket are read together, in one call of moderate length. As of a task's page, a run's status may be, for a
moment, behind what the record itself says.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from replog.records import outcome_of, start_ms
from replog.store.client.command import Command
from replog.store.client.scripts import RUNS
from replog.store.format.keys import task_bucket, task_keys
from replog.store.read.bounded_reads import BYTES_A_CALL, completed
from replog.store.read.results import Run, TaskRuns, Versioned
from replog.store.read.versions import digest_version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from replog.store.client.pipelining import CommandRunner

#: Runs and tasks that one call reads at most, and calls sent at once: a run has a reason of an error with it, mostly
#: short, at most 16 KiB.
RUNS_A_CALL, TASKS_A_CALL, CALLS_AT_ONCE = 1000, 50, 16

_pack = msgpack.Packer().pack


class Pulse(NamedTuple):
    """Result of a small read by which the runs of some tasks are the same as when they had ``version``.

    ``seen`` is a digest of the counter of each task's list, the number of its records and the newest of them: a list
    that was emptied and filled again may have the same counter.
    """

    version: bytes
    seen: bytes


class _Call(NamedTuple):
    """Tasks that are read together, by their places among all that are asked for, and which of their runs."""

    places: Sequence[int]
    offset: int
    limit: int


class _TaskPage(NamedTuple):
    """Some runs of a task, as the script answers."""

    counter: bytes | None
    total: int
    ids: list[bytes]
    values: list[bytes | None]


async def task_runs(
    connection: CommandRunner, keys: Sequence[str], last: int
) -> tuple[Versioned[list[TaskRuns]], Pulse]:
    """The ``last`` runs of each task of ``keys``, in this order; none where a task is unknown.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    tasks = [TaskRuns(key, 0, []) for key in keys]
    seen: list[Any] = [None] * len(keys)
    async for place, offset, page in _pages(connection, keys, last):
        if not offset:
            seen[place] = _look(page)
            tasks[place] = TaskRuns(keys[place], page.total, [])
        tasks[place].runs.extend(await _read(connection, keys[place], page))
    version = digest_version(_pack(tasks))
    return Versioned(version, tasks), Pulse(version, digest_version(_pack(seen)))


async def runs_version(connection: CommandRunner, keys: Sequence[str], known: Pulse | None) -> bytes | None:
    """The version of runs that were ``known``; None where they have changed since, or nothing was known."""
    if known is None:
        return None
    seen: list[Any] = [None] * len(keys)
    async for place, _, page in _pages(connection, keys, 1):
        seen[place] = _look(page)
    return known.version if digest_version(_pack(seen)) == known.seen else None


async def _pages(
    connection: CommandRunner, keys: Sequence[str], last: int
) -> AsyncIterator[tuple[int, int, _TaskPage]]:
    """The pages of the tasks' newest runs, each with its task's place among ``keys`` and its offset."""
    calls = list(_calls(connection.prefix, keys, last))
    for at in range(0, len(calls), CALLS_AT_ONCE):
        part = calls[at : at + CALLS_AT_ONCE]
        replies = await connection.run([_command(connection.prefix, keys, call) for call in part])
        for call, pages in zip(part, replies, strict=True):
            for place, page in zip(call.places, pages, strict=True):
                yield place, call.offset, _TaskPage(*page)


def _calls(prefix: str, keys: Sequence[str], last: int) -> Iterator[_Call]:
    """The calls, those of one task in the order of its runs."""
    places = defaultdict[int, list[int]](list)
    for place, key in enumerate(keys):
        places[task_bucket(prefix, key).number].append(place)
    size = max(1, min(TASKS_A_CALL, RUNS_A_CALL // last))
    for of_bucket in places.values():
        for at in range(0, len(of_bucket), size):
            for offset in range(0, last, RUNS_A_CALL):
                yield _Call(of_bucket[at : at + size], offset, min(RUNS_A_CALL, last - offset))


def _command(prefix: str, keys: Sequence[str], call: _Call) -> Command:
    lists = [key for place in call.places for key in task_keys(prefix, keys[place])[:2]]
    return Command(RUNS, lists, (call.offset, call.limit, BYTES_A_CALL))


def _look(page: _TaskPage) -> tuple[Any, ...]:
    """The part of a page that a small read of its newest run alone gives, too."""
    return page.counter, page.total, page.ids[:1], page.values[:1]


async def _read(connection: CommandRunner, key: str, page: _TaskPage) -> list[Run]:
    values = await completed(connection, task_keys(connection.prefix, key)[0], page.ids, page.values)
    return [_run(record_id, packed) for record_id, packed in zip(page.ids, values, strict=True) if packed]


def _run(record_id: bytes, packed: bytes) -> Run:
    start, outcome = msgpack.unpackb(packed, raw=True)
    status, end_ms, _ = outcome_of(outcome)
    return Run(record_id.decode(), status, start_ms(start), end_ms)
