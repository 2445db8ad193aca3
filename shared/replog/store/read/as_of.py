"""The time that the store is as of: everything that Kafka had before it is in the store.

Each bucket keeps, by consumer group and topic, of each of the topic's partitions the time up to which everything of it
that concerns the bucket is applied (``advance.lua`` writes that together with the checkpoints). The store's time is the
least over all buckets and all partitions; where one of them says nothing, nothing is known.

It is kept in each bucket, not once: after a failover in a cluster one node may lack its last writes, and what that node
says of itself goes back with them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgpack

from replog.errors import StoreRefused
from replog.store.client.command import Command
from replog.store.format.keys import BUCKETS, BucketKeys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from replog.store.client.pipelining import CommandRunner

#: A time before every event: where nothing is known.
UNKNOWN_MS = 0
#: The last millisecond of the year 9999: a later time is none.
LAST_MS = 253_402_300_799_999


async def read_as_of(connection: CommandRunner) -> int:
    """The time in ms since 1970; :data:`UNKNOWN_MS` where it is not known. Raises StoreUnavailable.

    What is read from the store after this began is not older.
    """
    keys = [BucketKeys(connection.prefix, number).as_of for number in range(BUCKETS)]
    try:
        return as_of(await connection.run([Command("HGETALL", [key]) for key in keys]))
    except StoreRefused:
        # Somebody wrote over one with something else: collectors make it anew.
        return UNKNOWN_MS


def as_of(buckets: Iterable[Mapping[bytes, bytes]]) -> int:
    """The time that the hashes of all buckets tell.

    A store is fed from one topic. What another group or topic has left there, after a change of either, says less and
    less: the latest counts. What cannot be read says nothing.
    """
    by_topic: defaultdict[bytes, list[int]] = defaultdict(list)
    for topics in buckets:
        for topic, packed in topics.items():
            if times := _times(packed):
                by_topic[topic].append(min(times))
    return max((min(times) for times in by_topic.values() if len(times) == BUCKETS), default=UNKNOWN_MS)


def _times(packed: bytes) -> list[int] | None:
    """The times of all partitions; None where somebody wrote something else."""
    try:
        unpacked = msgpack.unpackb(packed)
    except (ValueError, TypeError):
        return None
    match unpacked:
        case [int(), [*times]] if all(type(ms) is int and 0 <= ms <= LAST_MS for ms in times):
            return times
    return None
