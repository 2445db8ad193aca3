"""Silent RUNNING records of tasks under a prefix.

A candidate is a RUNNING record that is silent itself. Where neither the tasks nor their RUNNING records are more than
all candidates, the RUNNING records come from the lists of the tasks. Otherwise all candidates are read, and then their
tasks. The last events of details are looked up for records of these tasks alone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from replog.statuses import RUNNING, STATUS_LETTERS
from replog.store.client.command import Command
from replog.store.client.scripts import CANDIDATES, OWNERS
from replog.store.format.detail_codec import TIME_BYTES
from replog.store.format.keys import BUCKETS, BucketKeys, bucket_of, task_keys
from replog.store.read.tasks.tasks_by_prefix import TaskNameIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.pipelining import CommandRunner

#: Calls for candidates that are sent at once, and for lists of tasks, most of which have few RUNNING records.
CALLS_AT_ONCE, LISTS_AT_ONCE = 32, 256
#: Records whose tasks one call looks up, and calls sent at once: a record's tasks have 8 KiB at most.
OWNERS_A_CALL, OWNERS_CALLS_AT_ONCE = 128, 16


class SilentSince(NamedTuple):
    """A silent record and its last event, in the order of a page: longest silent first, then by id."""

    active_ms: int
    record_id: bytes


class _Part(NamedTuple):
    """The candidates of a bucket behind one that was looked at last."""

    bucket: BucketKeys
    score: bytes = b""
    record_id: bytes = b""


class _Records(NamedTuple):
    """Some records of one bucket."""

    bucket: BucketKeys
    ids: Sequence[bytes]


async def silent_under_prefix(
    connection: CommandRunner, prefix: str, until_ms: int, records_a_call: int
) -> list[SilentSince]:
    """All RUNNING records of tasks under ``prefix`` that had no event after ``until_ms``, in any order.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    candidates = await _number_of_candidates(connection, until_ms)
    names = TaskNameIndex(connection, prefix.encode(), "")
    tasks = await names.read_head()
    if tasks.total <= candidates:
        running = await _running_of_tasks(connection, await names.keys(tasks), candidates, records_a_call)
        if running is not None:
            return await _silent(connection, running, until_ms)
    return await _silent_candidates(connection, prefix.encode(), until_ms, records_a_call)


async def _number_of_candidates(connection: CommandRunner, until_ms: int) -> int:
    """Return the number of RUNNING records that are silent themselves."""
    buckets = [BucketKeys(connection.prefix, number) for number in range(BUCKETS)]
    return sum(await connection.run([Command("ZCOUNT", [bucket.running], ["-inf", until_ms]) for bucket in buckets]))


async def _running_of_tasks(
    connection: CommandRunner, keys: Sequence[bytes], most: int, records_a_call: int
) -> list[_Records] | None:
    """The RUNNING records in the lists of these tasks; None for more than ``most``."""
    low, high = b"[" + STATUS_LETTERS[RUNNING], b"(" + STATUS_LETTERS[RUNNING] + b"\xff"
    found: set[bytes] = set()
    left = [(task_keys(connection.prefix, key.decode())[2], low) for key in keys]
    while left:
        asked, left = left[:LISTS_AT_ONCE], left[LISTS_AT_ONCE:]
        calls = [Command("ZRANGEBYLEX", [key], [after, high, "LIMIT", 0, records_a_call]) for key, after in asked]
        for (key, _), entries in zip(asked, await connection.run(calls), strict=True):
            found.update(entry[1 + TIME_BYTES :] for entry in entries)
            if len(entries) == records_a_call:
                left.append((key, b"(" + entries[-1]))
        if len(found) > most:
            return None
    of_bucket = defaultdict[int, list[bytes]](list)
    for record_id in found:
        of_bucket[bucket_of(record_id.decode())].append(record_id)
    return [
        _Records(BucketKeys(connection.prefix, number), some)
        for number, ids in of_bucket.items()
        for some in _parts(ids, records_a_call)
    ]


async def _silent_candidates(
    connection: CommandRunner, prefix: bytes, until_ms: int, records_a_call: int
) -> list[SilentSince]:
    """Of the RUNNING records that are silent themselves, those of tasks under ``prefix`` whose details are, too."""
    found: list[SilentSince] = []
    left = [_Part(BucketKeys(connection.prefix, number)) for number in range(BUCKETS)]
    while left:
        asked, left = left[:CALLS_AT_ONCE], left[CALLS_AT_ONCE:]
        calls = [Command(CANDIDATES, [bucket.running], (until_ms, *last, records_a_call)) for bucket, *last in asked]
        candidates: list[_Records] = []
        for part, (ids, *last_score) in zip(asked, await connection.run(calls), strict=True):
            candidates.append(_Records(part.bucket, ids))
            left += [_Part(part.bucket, score, ids[-1]) for score in last_score]
        own = await _of_tasks_under(connection, prefix, candidates)
        found += await _silent(connection, own, until_ms)
    return found


async def _of_tasks_under(connection: CommandRunner, prefix: bytes, candidates: Sequence[_Records]) -> list[_Records]:
    """Those that belong to a task whose key begins with ``prefix``."""
    parts = [_Records(bucket, some) for bucket, ids in candidates for some in _parts(ids, OWNERS_A_CALL)]
    own: list[_Records] = []
    for at in range(0, len(parts), OWNERS_CALLS_AT_ONCE):
        asked = parts[at : at + OWNERS_CALLS_AT_ONCE]
        replies = await connection.run([Command(OWNERS, [*map(bucket.record, ids)]) for bucket, ids in asked])
        for (bucket, ids), tasks in zip(asked, replies, strict=True):
            under = [
                record_id
                for record_id, packed in zip(ids, tasks, strict=True)
                # Texts are packed as they are: nearly all records are passed over without being unpacked.
                if packed and prefix in packed and _is_any_under(prefix, packed)
            ]
            own += [_Records(bucket, under)] if under else []
    return own


def _parts(ids: Sequence[bytes], size: int) -> list[Sequence[bytes]]:
    return [ids[at : at + size] for at in range(0, len(ids), size)]


def _is_any_under(prefix: bytes, packed_keys: bytes) -> bool:
    return any(key.startswith(prefix) for key in msgpack.unpackb(packed_keys, raw=True))


async def _silent(connection: CommandRunner, records: Sequence[_Records], until_ms: int) -> list[SilentSince]:
    """Those that run and whose details are silent, too."""
    calls = [Command("ZMSCORE", [key], ids) for bucket, ids in records for key in (bucket.running, bucket.due)]
    replies = await connection.run(calls)
    found: list[SilentSince] = []
    for (_, ids), owns, lasts in zip(records, replies[::2], replies[1::2], strict=True):
        for record_id, own, last in zip(ids, owns, lasts, strict=True):
            if own is None:
                # It has ended meanwhile.
                continue
            active_ms = int(max(float(own), float(last or own)))
            if active_ms <= until_ms:
                found.append(SilentSince(active_ms, record_id))
    return found
