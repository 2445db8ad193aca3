"""Examines the indexes of a bucket: none has an entry of a record or task that there is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replog.store.client.command import Command
from replog.store.format.keys import BucketKeys
from replog.store.inspect.findings import Edit, Finding, Guard, shown
from replog.store.inspect.task_check import ENTRIES_OF_A_TASK, INDEXED, VERSION, task_entries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from replog.store.client.pipelining import CommandRunner

_ENTRIES = 500
_BIAS_BYTES = 7


async def examine_bucket(
    connection: CommandRunner, bucket: int, *, records: Collection[str], tasks: Collection[str]
) -> list[Finding]:
    """The entries of a bucket's indexes that are of other than these records and tasks. Raises StoreUnavailable."""
    keys = BucketKeys(connection.prefix, bucket)
    known = {record_id.encode() for record_id in records}
    found: list[Finding] = []
    for command, key, verb in (("ZSCAN", keys.running, "zrem"), ("SSCAN", keys.unfinished, "srem")):
        async for entries in _scan(connection, command, key):
            members = [entry[0] if isinstance(entry, tuple | list) else entry for entry in entries]
            found += [_extra(key, verb, raw_id) for raw_id in members if raw_id not in known]
    (size,) = await connection.run([Command("ZCARD", [keys.tasks])])
    if size != ENTRIES_OF_A_TASK * len(tasks):
        async for entries in _scan(connection, "ZSCAN", keys.tasks):
            found += [of async for of in _of_no_task(connection, keys, [entry for entry, _ in entries])]
    return found


async def _of_no_task(connection: CommandRunner, keys: BucketKeys, entries: list[bytes]) -> AsyncIterator[Finding]:
    """The entries of the index that are not those under which their tasks are indexed."""
    lists = [keys.head + b"task:" + _task_in(entry) for entry in entries]
    rows = await connection.run([Command("HMGET", [key], [VERSION, INDEXED]) for key in lists]) if lists else []
    for entry, key, (version, place) in zip(entries, lists, rows, strict=True):
        if place is None or entry not in task_entries(place, _task_in(entry)):
            text = f"the entry {shown(entry)} is one too many"
            guard = Guard(key, VERSION, version)
            edit = Edit("zrem", keys.tasks, (entry,))
            yield Finding("task_entry", "", keys.tasks, text, task_key=_name(_task_in(entry)), edit=edit, guard=guard)


def _name(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _extra(key: bytes, verb: str, raw_id: bytes) -> Finding:
    record_id = _name(raw_id)
    head = key[: key.index(b"}") + 2]
    guard = Guard(head + b"record:" + raw_id, b"v", None)
    return Finding(
        "extra_entry", record_id, key, "the entry is of no record", edit=Edit(verb, key, (raw_id,)), guard=guard
    )


def _task_in(entry: bytes) -> bytes:
    """The key of the task that an entry of a bucket's index is of."""
    if entry[:1] == b"=":
        return entry[2 : -_BIAS_BYTES - 1]
    return entry[1 + _BIAS_BYTES :]


async def _scan(connection: CommandRunner, command: str, key: bytes) -> AsyncIterator[Any]:
    cursor = 0
    while True:
        ((cursor, found),) = await connection.run([Command(command, [key], [cursor, "COUNT", _ENTRIES])])
        yield found
        if not int(cursor):
            return
