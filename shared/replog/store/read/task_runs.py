"""The newest runs of many tasks: when each began and ended, and how.

A task's hash holds the start and the outcome of all its records, so that a task takes one small call, whatever its
records are like. As of a task's page, a run's status may be, for a moment, behind what the record itself says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from replog.records import outcome_of, start_ms
from replog.store.client.command import Command
from replog.store.client.scripts import PAGE
from replog.store.format.keys import task_keys
from replog.store.read.bounded_reads import BYTES_A_CALL, completed
from replog.store.read.results import Run, TaskRuns, Versioned
from replog.store.read.versions import counter_call, digest_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from replog.store.client.pipelining import CommandRunner

#: Runs that are read at once: each has a reason of an error with it, mostly short, at most 16 KiB.
RUNS_AT_ONCE = 500
#: Runs that one call reads at most, and tasks that are asked at once.
RUNS_A_CALL, TASKS_AT_ONCE = 1000, 40


_pack = msgpack.Packer().pack


class Pulse(NamedTuple):
    """Result of a small read by which the runs of some tasks are the same as when they had ``version``.

    ``seen`` is a digest of the counter of each task's list, the number of its records and the newest of them: a list
    that was emptied and filled again may have the same counter.
    """

    version: bytes
    seen: bytes


async def task_runs(
    connection: CommandRunner, keys: Sequence[str], last: int
) -> tuple[Versioned[list[TaskRuns]], Pulse]:
    """The ``last`` runs of each task of ``keys``, in this order; none where a task is unknown.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    prefix, seen = connection.prefix, list[tuple[Any, ...]]()
    tasks: list[TaskRuns] = []
    for part in _parts(keys, max(1, min(TASKS_AT_ONCE, RUNS_AT_ONCE // last))):
        # What tells them apart comes before what they are.
        calls = [call for key in part for call in _looks(prefix, key) + _pages(prefix, key, last)]
        replies = iter(await connection.run(calls))
        for key in part:
            seen.append(_pulse(next(replies), next(replies)))
            pages = [next(replies) for _ in range(0, last, RUNS_A_CALL)]
            tasks.append(await _read(connection, key, pages))
    version = digest_version(_pack(tasks))
    return Versioned(version, tasks), Pulse(version, digest_version(_pack(seen)))


async def runs_version(connection: CommandRunner, keys: Sequence[str], known: Pulse | None) -> bytes | None:
    """The version of runs that were ``known``; None where they have changed since, or nothing was known."""
    if known is None:
        return None
    seen: list[tuple[Any, ...]] = []
    for part in _parts(keys, TASKS_AT_ONCE):
        replies = await connection.run([call for key in part for call in _looks(connection.prefix, key)])
        seen += map(_pulse, replies[::2], replies[1::2])
    return known.version if digest_version(_pack(seen)) == known.seen else None


async def _read(connection: CommandRunner, key: str, pages: Sequence[Any]) -> TaskRuns:
    hash_key = task_keys(connection.prefix, key)[0]
    runs: list[Run] = []
    for _, _, ids, first in pages:
        values = await completed(connection, hash_key, ids, first)
        runs += [_run(record_id, packed) for record_id, packed in zip(ids, values, strict=True) if packed]
    return TaskRuns(key, pages[0][1], runs)


def _run(record_id: bytes, packed: bytes) -> Run:
    start, outcome = msgpack.unpackb(packed, raw=True)
    status, end_ms, _ = outcome_of(outcome)
    return Run(record_id.decode(), status, start_ms(start), end_ms)


def _looks(prefix: str, key: str) -> list[Command]:
    """Ask for the counter of the task's list, and for the newest record alone."""
    return [counter_call(prefix, key), _page(prefix, key, 0, 1)]


def _pages(prefix: str, key: str, last: int) -> list[Command]:
    return [_page(prefix, key, begin, min(RUNS_A_CALL, last - begin)) for begin in range(0, last, RUNS_A_CALL)]


def _page(prefix: str, key: str, offset: int, limit: int) -> Command:
    """Asks for a page of a task's hash as if its records were details of one."""
    hash_key, time_key, _ = task_keys(prefix, key)
    return Command(PAGE, [hash_key, hash_key, time_key], (offset, limit, BYTES_A_CALL))


def _pulse(counter: bytes | None, page: Any) -> tuple[Any, ...]:
    _, total, ids, values = page
    return counter, total, *ids, *values


def _parts(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (keys[at : at + size] for at in range(0, len(keys), size))
