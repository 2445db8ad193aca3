"""Checkpoints as they stand, for those who only look: nothing is written, and what cannot be read stays.

Collectors read and repair them by :mod:`replog.store.write.checkpoints`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from replog.store.client.command import Command
from replog.store.format.checkpoint_fields import checkpoint_head, offset_of, partition_of
from replog.store.format.keys import BUCKETS
from replog.store.format.layout import all_buckets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from replog.store.client.pipelining import CommandRunner


async def read_checkpoints(connection: CommandRunner, *, group: str, topic: str) -> dict[int, int | None]:
    """The checkpoints by partition, of those of which any bucket has one: the lowest of all buckets.

    None stands for a partition of which some buckets have no checkpoint, or one that is no offset. Raises
    StoreUnavailable, and StoreRefused where a key was overwritten with another type.
    """
    hashes = await connection.run([Command("HGETALL", [bucket.applied]) for bucket in all_buckets(connection.prefix)])
    return lowest(hashes, checkpoint_head(group, topic))


async def has_checkpoints(connection: CommandRunner) -> bool:
    """Whether any collector has left a checkpoint under the prefix. Raises StoreUnavailable, StoreRefused."""
    return any(await connection.run([Command("HLEN", [bucket.applied]) for bucket in all_buckets(connection.prefix)]))


def lowest(hashes: Iterable[Mapping[bytes, bytes]], head: str) -> dict[int, int | None]:
    """The lowest checkpoints by partition, of the fields that begin with ``head`` in the hashes of all buckets."""
    found: defaultdict[int, list[int | None]] = defaultdict(list)
    for fields in hashes:
        for field, value in fields.items():
            if (partition := partition_of(field, head)) is not None:
                found[partition].append(offset_of(value))
    return {partition: _lowest(offsets) for partition, offsets in sorted(found.items())}


def _lowest(offsets: list[int | None]) -> int | None:
    whole = [offset for offset in offsets if offset is not None]
    return min(whole) if len(whole) == BUCKETS else None
