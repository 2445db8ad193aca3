"""Examines the lists of tasks.

Each entry of a list is of a record that belongs there, and the task is indexed under its latest record.
The entries that records should have are asked for where records are examined; here it is what lists have too much, or
otherwise than the records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from replog.records import last_ms, start_ms
from replog.store.client.command import Command
from replog.store.format.keys import BucketKeys, record_key, task_bucket, task_keys
from replog.store.inspect.findings import MOST_OF_ONE, Edit, Finding, Guard, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from replog.store.client.pipelining import CommandRunner

#: Fields of a list beside its records, and entries of a task in the index of its bucket.
VERSION, INDEXED = b"", b"\0"
ENTRIES_OF_A_TASK = 3
_ENTRIES = 250
_BIAS = 1 << 46
_BIAS_BYTES = 7


class ExaminedTask(NamedTuple):
    """A list that was examined: the number of its records, the findings; not ``steady`` where it changed meanwhile."""

    records: int
    findings: list[Finding]
    steady: bool


async def indexed_tasks(connection: CommandRunner, bucket: int) -> AsyncIterator[list[str]]:
    """The keys of the tasks in a bucket's index, in steps. Raises StoreUnavailable."""
    key, low = BucketKeys(connection.prefix, bucket).tasks, b"[="
    while True:
        (found,) = await connection.run([Command("ZRANGEBYLEX", [key], [low, b"(>", "LIMIT", 0, _ENTRIES])])
        yield [entry[2 : entry.rindex(b"\0", 0, -_BIAS_BYTES)].decode() for entry in found]
        if len(found) < _ENTRIES:
            return
        low = b"(" + found[-1]


async def listed_records(connection: CommandRunner, task_key: str) -> AsyncIterator[list[str]]:
    """The ids of the records in the list of a task, in steps; some may come twice. Raises StoreUnavailable."""
    (key, _, _), cursor = task_keys(connection.prefix, task_key), 0
    while True:
        ((cursor, found),) = await connection.run([Command("HSCAN", [key], [cursor, "COUNT", _ENTRIES])])
        yield [raw_id.decode(errors="backslashreplace") for raw_id in found if raw_id not in (VERSION, INDEXED)]
        if not int(cursor):
            return


async def examine_task(connection: CommandRunner, task_key: str) -> ExaminedTask:
    """Examine the list of one task. Raises StoreUnavailable, StoreRefused."""
    check = _TaskCheck(connection, task_key)
    await check.begin()
    async for entries in check.entries():
        await check.examine(entries)
    await check.examine_sizes()
    await check.examine_place()
    return await check.ended()


class _TaskCheck:
    def __init__(self, connection: CommandRunner, task_key: str) -> None:
        self._connection = connection
        self._key = task_key
        self._task, self._time, self._status = task_keys(connection.prefix, task_key)
        self._bucket = task_bucket(connection.prefix, task_key)
        self._version: bytes | None = None
        self._indexed: bytes | None = None
        self._records = 0
        self._missing = {self._time: 0, self._status: 0}
        self._latest: tuple[tuple[int, bytes], bytes] | None = None
        self._found: list[Finding] = []

    async def begin(self) -> None:
        """Read what the task is indexed under, and its version."""
        ((self._version, self._indexed),) = await self._run(Command("HMGET", [self._task], [VERSION, INDEXED]))

    async def entries(self) -> AsyncIterator[dict[bytes, bytes]]:
        """The list, in steps: by record, its start and outcome."""
        cursor = 0
        while True:
            ((cursor, found),) = await self._run(Command("HSCAN", [self._task], [cursor, "COUNT", _ENTRIES]))
            yield {raw_id: state for raw_id, state in found.items() if raw_id not in (VERSION, INDEXED)}
            if not int(cursor):
                return

    async def examine(self, entries: Mapping[bytes, bytes]) -> None:
        """Compare entries with their records, and with the indexes of the list."""
        if not entries:
            return
        prefix = self._connection.prefix
        calls = [Command("HMGET", [record_key(prefix, i.decode())], ["start", "outcome", "tasks"]) for i in entries]
        states = {raw_id: tuple(msgpack.unpackb(packed, raw=True)) for raw_id, packed in entries.items()}
        *rows, times, statuses = await self._run(
            *calls,
            Command("ZMSCORE", [self._time], [*states]),
            Command("ZMSCORE", [self._status], [_status_entry(raw_id, *state) for raw_id, state in states.items()]),
        )
        for (raw_id, state), row, time, status in zip(states.items(), rows, times, statuses, strict=True):
            self._records += 1
            self._note_latest(raw_id, *state)
            self._examine_entry(raw_id, state, row)
            self._ask(raw_id, self._time, time, (start_ms(state[0]), raw_id))
            self._ask(raw_id, self._status, status, (0, _status_entry(raw_id, *state)))

    def _note_latest(self, raw_id: bytes, start: bytes, outcome: bytes) -> None:
        order = start_ms(start), raw_id
        if self._latest is None or order > self._latest[0]:
            self._latest = order, _place_of(outcome)

    def _examine_entry(self, raw_id: bytes, state: tuple[bytes, ...], row: list[bytes | None]) -> None:
        start, outcome, tasks = row
        listed = [raw.decode() for raw in msgpack.unpackb(tasks, raw=True)] if tasks else []
        if self._key not in listed:
            why = "is not of this task" if start else "does not exist"
            gone = [(self._task, "hdel", raw_id), (self._time, "zrem", raw_id)]
            for key, verb, member in [*gone, (self._status, "zrem", _status_entry(raw_id, *state))]:
                self._find("listed", key, f"it is in the list, and {why}", raw_id, Edit(verb, key, (member,)))
        elif (start, outcome) != state:
            packed = msgpack.packb((start, outcome), use_bin_type=False)
            text = "the list has another start or outcome than the record"
            self._find("list_state", self._task, text, raw_id, Edit("hset", self._task, (raw_id, packed)))

    def _ask(self, raw_id: bytes, key: bytes, score: float | None, should: tuple[int, bytes]) -> None:
        if score is None or int(score) != should[0]:
            self._missing[key] += score is None
            text = f"the entry {shown(should[1])} is missing, or not at {should[0]}"
            self._find("missing_entry", key, text, raw_id, Edit("zadd", key, should))

    async def examine_sizes(self) -> None:
        """Walk an index of the list that has more entries than the list."""
        keys = [*self._missing]
        for key, size in zip(keys, await self._run(*(Command("ZCARD", [key]) for key in keys)), strict=True):
            if size > self._records - self._missing[key]:
                await self._find_extra(key)

    async def _find_extra(self, key: bytes) -> None:
        cursor = 0
        while True:
            ((cursor, found),) = await self._run(Command("ZSCAN", [key], [cursor, "COUNT", _ENTRIES]))
            ids = {entry: entry if key == self._time else entry[1 + _BIAS_BYTES :] for entry, _ in found}
            stored = (await self._run(Command("HMGET", [self._task], [*ids.values()])))[0] if ids else []
            for (entry, raw_id), packed in zip(ids.items(), stored, strict=True):
                state = tuple(msgpack.unpackb(packed, raw=True)) if packed else None
                if state is None or (key == self._status and entry != _status_entry(raw_id, *state)):
                    text = f"the entry {shown(entry)} is one too many"
                    self._find("extra_entry", key, text, raw_id, Edit("zrem", key, (entry,)))
            if not int(cursor):
                return

    async def examine_place(self) -> None:
        """Compare the task's entries in its bucket's index with its latest record."""
        place = self._latest[1] if self._latest else None
        if place != self._indexed and place is not None:
            text = "the list is indexed under another than its latest record"
            self._find("task_place", self._task, text, edit=Edit("hset", self._task, (INDEXED, place)))
        key = self._bucket.tasks
        raw = self._key.encode()
        wanted = set(task_entries(place, raw)) if place else set()
        others = {entry for old in (self._indexed,) if old for entry in task_entries(old, raw)} - wanted
        asked = [*wanted, *others]
        scores = (await self._run(Command("ZMSCORE", [key], asked)))[0] if asked else []
        for entry, score in zip(asked, scores, strict=True):
            if (score is not None) != (entry in wanted):
                verb, words = ("zadd", (0, entry)) if entry in wanted else ("zrem", (entry,))
                text = f"the entry {shown(entry)} is {'missing' if entry in wanted else 'one too many'}"
                self._find("task_entry", key, text, edit=Edit(verb, key, words))

    async def ended(self) -> ExaminedTask:
        """The result."""
        (version,) = await self._run(Command("HGET", [self._task], [VERSION]))
        return ExaminedTask(self._records, self._found, version == self._version)

    def _find(self, what: str, key: bytes, text: str, raw_id: bytes | None = None, edit: Edit | None = None) -> None:
        if len(self._found) >= MOST_OF_ONE:
            return
        record_id = (raw_id or b"").decode(errors="backslashreplace")
        guard = Guard(self._task, VERSION, self._version)
        self._found.append(Finding(what, record_id, key, text, None, self._key, edit, guard))

    async def _run(self, *calls: Command) -> list[Any]:
        return await self._connection.run(calls)


def _status_entry(raw_id: bytes, start: bytes, outcome: bytes) -> bytes:
    return outcome[-1:] + (start_ms(start) + _BIAS).to_bytes(_BIAS_BYTES, "big") + raw_id


def _place_of(outcome: bytes) -> bytes:
    """Status letter, and time of the last activity, as ``activity.lua`` has it."""
    at = outcome[0] + 2
    return outcome[-1:] + (last_ms(outcome[at : at + 9]) + _BIAS).to_bytes(_BIAS_BYTES, "big")


def task_entries(place: bytes, key: bytes) -> tuple[bytes, bytes, bytes]:
    """The entries of a task that is indexed under ``place``, as ``activity.lua`` has them."""
    letter, time = place[:1], place[1:]
    return place + key, b"*" + time + key, b"=" + letter + key + b"\0" + time
