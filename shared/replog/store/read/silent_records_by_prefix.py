"""Silent RUNNING records of tasks under a prefix.

Candidates are the RUNNING records that are silent themselves. Few of them are of a task under the prefix, so the tasks
are read first: the last events of details are looked up for those few alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgpack

from replog.store.client.command import Command
from replog.store.client.scripts import CANDIDATES, OWNERS
from replog.store.format.keys import BUCKETS, BucketKeys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.client.pipelining import CommandRunner

#: Calls for candidates that are sent at once.
CALLS_AT_ONCE = 32
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
    found: list[SilentSince] = []
    left = [_Part(BucketKeys(connection.prefix, number)) for number in range(BUCKETS)]
    while left:
        asked, left = left[:CALLS_AT_ONCE], left[CALLS_AT_ONCE:]
        calls = [Command(CANDIDATES, [bucket.running], (until_ms, *last, records_a_call)) for bucket, *last in asked]
        candidates: list[_Records] = []
        for part, (ids, *last_score) in zip(asked, await connection.run(calls), strict=True):
            candidates.append(_Records(part.bucket, ids))
            left += [_Part(part.bucket, score, ids[-1]) for score in last_score]
        own = await _of_tasks_under(connection, prefix.encode(), candidates)
        found += await _silent(connection, own, until_ms)
    return found


async def _of_tasks_under(connection: CommandRunner, prefix: bytes, candidates: Sequence[_Records]) -> list[_Records]:
    """Those that belong to a task whose key begins with ``prefix``."""
    parts = [
        _Records(bucket, ids[at : at + OWNERS_A_CALL])
        for bucket, ids in candidates
        for at in range(0, len(ids), OWNERS_A_CALL)
    ]
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
