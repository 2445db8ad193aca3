"""Versions of answers: each tells whether an answer has changed, by far smaller reads than the answer takes.

A record's version is its counter, which moves with every change of the record or its details in the same atomic write,
and the time of that write: a record that retention removed and that came back counts from the start, but at another
time.

A task's list has a counter of its own. Its rows show their records' roll-ups, so the version of a page of them is that
counter and the versions of the records on it. A list that was emptied counts from the start too, but with other records
or at other times.

The version of tasks with their latest records is made of what they show alone: the tasks, the records, and these
records' versions. The counters of their lists, or of all buckets, only say when that has to be read again. They move
with the tasks of others too, of which a client that may not read them is to learn nothing.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from replog.store.client.command import Command
from replog.store.format.keys import BUCKETS, BucketKeys, record_key, task_keys
from replog.store.read.results import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.format.rows import StoredRecord, StoredTask

#: How often a page that takes several calls is read anew because the record changed in between. After that the
#: last reading stands: its total and order are of one moment, its rows may be newer.
ATTEMPTS = 5
#: The same of a page that takes a costly search: in a record that changes all the time, each of them meets a change.
COSTLY_ATTEMPTS = 2
_VERSION_BYTES = 16
_COUNTER_AND_TIME = ("v", "w")


class RowVersion(NamedTuple):
    """The version of one record in a list; ``counter`` is None where it is not there."""

    key: bytes
    counter: bytes | None
    written: bytes | None


class PageRead(NamedTuple):
    """A page of a task's records as it was read: the counter of the list, all its records, and keys of the page's."""

    counter: bytes
    total: int
    keys: list[bytes]


class TasksRead(NamedTuple):
    """Tasks with their latest records as they were read; ``counter`` moves where they may be others since.

    ``shown`` is as :func:`shown_of` makes it; ``keys`` are those of all records that were read.
    """

    counter: bytes
    total: int
    shown: bytes
    keys: list[bytes]


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


def shown_of(tasks: Iterable[StoredTask]) -> bytes:
    """The tasks that are shown, and the record of each, by key and id; an empty id for none."""
    # Neither has control characters.
    return b"".join([f"\n{key}\t{record.record_id if record else ''}".encode() for key, record in tasks])


def tasks_version(total: int, shown: bytes, rows: Iterable[RowVersion]) -> bytes:
    """The version of tasks with their latest records."""
    return page_version(b"tasks%b" % shown, total, rows)


def digest_version(data: bytes) -> bytes:
    """The version of an answer that is identified by its content alone."""
    return blake2b(data, digest_size=_VERSION_BYTES).digest()


def joined(counters: Iterable[bytes | None]) -> bytes:
    """Several counters as one: it is another where any of them has moved."""
    return b",".join([counter or b"" for counter in counters])


def rows_of(prefix: str, records: Iterable[StoredRecord]) -> list[RowVersion]:
    """The versions of records that were read."""
    return [RowVersion(record_key(prefix, record.record_id), record.counter, record.written) for record in records]


def rows_of_replies(keys: Iterable[bytes], replies: Iterable[Any]) -> list[RowVersion]:
    """The versions of records from the replies to :func:`row_call` of each of ``keys``."""
    return [RowVersion(key, counter, written) for key, (counter, written) in zip(keys, replies, strict=True)]


def version_call(prefix: str, record_id: str) -> Command:
    """The command that reads a record's counter, time of writing and number of RUNNING details."""
    return Command("HMGET", [record_key(prefix, record_id)], (*_COUNTER_AND_TIME, "nR"))


def row_call(key: bytes) -> Command:
    """The command that reads the version of the record at ``key``."""
    return Command("HMGET", [key], _COUNTER_AND_TIME)


def counter_call(prefix: str, task_key: str) -> Command:
    """The command that reads the counter of a task's list."""
    return Command("HGET", [task_keys(prefix, task_key)[0]], ("",))


def moved_calls(prefix: str) -> list[Command]:
    """The commands that read the counters of all buckets: each moves with every change of a task's list."""
    return [Command("GET", [BucketKeys(prefix, number).moved]) for number in range(BUCKETS)]


class VersionRecorder:
    """A CommandRunner that sends ``first`` ahead of the first calls, in the same pipeline, and keeps its ``reply``.

    So the version of what is read by several calls is read before it, at no round trip of its own.
    """

    def __init__(self, connection: CommandRunner, first: Command) -> None:
        self.prefix = connection.prefix
        self.reply: Any = None
        self._connection = connection
        self._first: Command | None = first

    async def run(self, calls: Sequence[Command]) -> list[Any]:
        """As :class:`replog.store.client.pipelining.CommandRunner` says."""
        if self._first is None:
            return await self._connection.run(calls)
        self.reply, *replies = await self._connection.run([self._first, *calls])
        self._first = None
        return replies
