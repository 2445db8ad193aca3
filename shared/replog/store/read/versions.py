"""Versions: what tells whether an answer has changed since it was given, by far less than it takes to give it.

A record's version is its counter, which moves with every change of the record or its details in the same atomic write,
and the time of that write: a record that retention removed and that came back counts from the start, but at another
time.

A task's list has a counter of its own. Its rows show their records' roll-ups, so the version of a page of them is that
counter and the versions of the records on it. A list that was emptied counts from the start too, but with other records
or at other times.

Tasks with their latest records are told apart by what they show alone: which tasks, which records, and these records'
versions. The counters of their lists, or of all buckets, only say when that has to be looked up again. They move with
the tasks of others too, of which a client that may not read them is to learn nothing.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from replog.store.client.command import Command
from replog.store.format.keys import BUCKETS, BucketKeys, RecordKeys, task_keys
from replog.store.format.rows import RECORD_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replog.store.client.pipelining import CommandRunner

T = TypeVar("T")

#: The version of what is not there.
NOTHING = b"nothing"
#: Records whose versions one step of :meth:`Versions.whole_task` reads.
STEP = 500

_VERSION_BYTES = 16
_COUNTER_AND_TIME = ("v", "w")


class Versioned(NamedTuple, Generic[T]):
    """What was read, and its version: read before it or together with it, never after."""

    version: bytes
    data: T


class RowVersion(NamedTuple):
    """The version of one record in a list; ``counter`` is None where it is not there."""

    key: bytes
    counter: bytes | None
    written: bytes | None


class TaskPage(NamedTuple):
    """A page of a task's records as it was read: by what counter, of how many records, and which."""

    counter: bytes
    total: int
    keys: tuple[bytes, ...]


class KnownTasks(NamedTuple):
    """Tasks with their latest records as they were read; ``counter`` moves where they may be others since.

    ``shown`` is what :func:`shown_of` says; ``keys`` are those of all records that were read.
    """

    counter: bytes
    total: int
    shown: bytes
    keys: tuple[bytes, ...]


def record_version(counter: bytes | None, written: bytes | None) -> bytes:
    """The version of one record."""
    return NOTHING if counter is None else b"%b.%b" % (counter, written or b"")


def page_version(counter: bytes | None, total: int, rows: Iterable[RowVersion]) -> bytes:
    """The version of a page of a task's records, in their order."""
    if counter is None:
        return NOTHING
    found = blake2b(b"%b.%d" % (counter, total), digest_size=_VERSION_BYTES)
    for row in rows:
        if row.counter is not None:
            found.update(b"\n%b %b" % (row.key, record_version(row.counter, row.written)))
    return found.digest()


def shown_of(tasks: Iterable[tuple[str, str]]) -> bytes:
    """Which tasks are shown with which records, by key and id; an empty id for none."""
    # Neither has control characters.
    return b"".join([f"\n{key}\t{record_id}".encode() for key, record_id in tasks])


def tasks_version(total: int, shown: bytes, rows: Iterable[RowVersion]) -> bytes:
    """The version of tasks with their latest records."""
    return page_version(b"tasks%b" % shown, total, rows)


def digest_version(data: bytes) -> bytes:
    """The version of what is told apart by what it says alone."""
    return blake2b(data, digest_size=_VERSION_BYTES).digest()


def joined(counters: Iterable[bytes | None]) -> bytes:
    """Several counters as one: it is another where any of them has moved."""
    return b",".join([counter or b"" for counter in counters])


def version_call(prefix: str, record_id: str) -> Command:
    """Asks for a record's counter, time of writing and number of RUNNING details."""
    return Command("HMGET", [RecordKeys(prefix, record_id).record], (*_COUNTER_AND_TIME, "nR"))


def counter_call(prefix: str, task_key: str) -> Command:
    """Asks for the counter of a task's list."""
    return Command("HGET", [task_keys(prefix, task_key)[0]], ("",))


def moved_calls(prefix: str) -> list[Command]:
    """Ask for the counters of all buckets: each moves with every change of a task's list."""
    return [Command("GET", [BucketKeys(prefix, number).moved]) for number in range(BUCKETS)]


class VersionRecorder:
    """Runs calls, and learns the versions of what they read: before it is read or together with it, never after.

    ``first`` is sent before the first calls, in the same pipeline; ``reply`` is what it got. ``rows`` are the versions
    of all records that were read, in their order.
    """

    def __init__(self, connection: CommandRunner, first: Command | None = None) -> None:
        self.prefix = connection.prefix
        self.reply: Any = None
        self.rows: list[RowVersion] = []
        self._connection = connection
        self._first = first

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        """As :class:`replog.store.client.pipelining.CommandRunner` says."""
        asked = [_with_time(call) for call in calls]
        if self._first is None:
            replies = await self._connection.run(asked)
        else:
            self.reply, *replies = await self._connection.run([self._first, *asked])
            self._first = None
        for i, call in enumerate(calls):
            if call.arguments is RECORD_FIELDS:
                *fields, written = replies[i]
                replies[i] = fields
                self.rows.append(RowVersion(call.keys[0], fields[-1], written))
        return replies


def _with_time(call: Command) -> Command:
    if call.arguments is not RECORD_FIELDS:
        return call
    return Command(call.command, call.keys, (*RECORD_FIELDS, "w"))


class Versions:
    """Reads versions alone. Every method raises StoreUnavailable where Redis does not answer."""

    def __init__(self, connection: CommandRunner) -> None:
        self._connection = connection

    async def record(self, record_id: str) -> bytes:
        """The version of a record."""
        (found,) = await self._connection.run([version_call(self._connection.prefix, record_id)])
        return record_version(found[0], found[1])

    async def task_page(self, task_key: str, known: TaskPage | None) -> bytes | None:
        """The version of a page that was ``known``; None where its list has changed since, or nothing was known."""
        keys = known.keys if known else ()
        calls = [counter_call(self._connection.prefix, task_key), *map(_row_call, keys)]
        counter, *found = await self._connection.run(calls)
        if counter is None:
            return NOTHING
        if known is None or counter != known.counter:
            return None
        return page_version(counter, known.total, _rows(keys, found))

    async def tasks(self, counters: Sequence[Command], known: KnownTasks | None) -> bytes | None:
        """The version of tasks with their latest records that were ``known``; None where they have to be read for it.

        ``counters`` ask for what :func:`joined` makes their counter of.
        """
        if known is None:
            return None
        found = await self._connection.run([*counters, *map(_row_call, known.keys)])
        if joined(found[: len(counters)]) != known.counter:
            return None
        return tasks_version(known.total, known.shown, _rows(known.keys, found[len(counters) :]))

    async def whole_task(self, task_key: str) -> tuple[bytes, bool]:
        """The version of all of a task's records, step by step, and whether any is RUNNING."""
        _, time_key, status_key = task_keys(self._connection.prefix, task_key)
        counter, total, running = await self._connection.run(
            [
                counter_call(self._connection.prefix, task_key),
                Command("ZCARD", [time_key]),
                Command("ZLEXCOUNT", [status_key], (b"[R", b"(S")),
            ]
        )
        rows: list[RowVersion] = []
        for start in range(0, total, STEP):
            (ids,) = await self._connection.run([Command("ZREVRANGE", [time_key], (start, start + STEP - 1))])
            keys = [RecordKeys(self._connection.prefix, raw.decode()).record for raw in ids]
            rows += _rows(keys, await self._connection.run([_row_call(key) for key in keys]))
        return page_version(counter, total, rows), running > 0


def _row_call(key: bytes) -> Command:
    return Command("HMGET", [key], _COUNTER_AND_TIME)


def _rows(keys: Iterable[bytes], found: Iterable[Any]) -> list[RowVersion]:
    return [RowVersion(key, counter, written) for key, (counter, written) in zip(keys, found, strict=True)]
