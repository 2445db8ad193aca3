"""Checkpoints: per partition, the offset before which the store has everything, kept in the store itself.

Redis acknowledges writes before they are durable. A failover or restart leaves a prefix of each node's writes. So the
checkpoints of a bucket, written after the merges that they stand for, show what is missing: every call of a merge notes
itself in its bucket, and a bucket's checkpoints move on only where all acknowledged calls are still noted there and the
checkpoints stand where they were left. Otherwise writes were lost, and the collector goes back to the checkpoints.
Merging again changes nothing, so going back too far is never wrong.

Checkpoints that cannot be read count as lost: where their key, or one of them, was overwritten with something else, it
is removed.

Each bucket also keeps a time up to which it is complete: it has what Kafka had by then. It is written atomically with
the comparison of the checkpoints, so that whatever survives of a bucket claims no more than is there
(:mod:`replog.store.read.as_of` reads it).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgpack

from replog.errors import StoreRefused, StoreRewound
from replog.store.client.command import Command
from replog.store.client.scripts import ADVANCE
from replog.store.format.checkpoint_fields import checkpoint_head, offset_of
from replog.store.format.keys import BUCKETS, BucketKeys
from replog.store.write.offsets import CheckpointRange
from replog.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.write.merge_result import MergeResult
    from replog.store.write.offsets import Reached, Span

#: Reply of ``advance.lua`` where it could not read the time up to which a bucket was complete, and started over.
MADE_ANEW = 2

_pack = msgpack.Packer(use_bin_type=False).pack


class Checkpoints:
    """The checkpoints of one consumer group and topic.

    Every method raises :class:`~replog.errors.StoreUnavailable` where Redis does not answer; call it again.
    """

    def __init__(self, connection: CommandRunner, *, group: str, topic: str) -> None:
        self._connection = connection
        self._buckets = [BucketKeys(connection.prefix, number) for number in range(BUCKETS)]
        self._topic = f"{group}:{topic}"
        self._head = checkpoint_head(group, topic)

    async def read(self, partitions: Collection[int]) -> dict[int, int | None]:
        """The checkpoints of ``partitions``: the lowest of all buckets, None where a bucket has none."""
        ranges = await self.read_ranges(partitions)
        return {number: of.lowest if of else None for number, of in ranges.items()}

    async def read_ranges(self, partitions: Collection[int]) -> dict[int, CheckpointRange | None]:
        """The lowest and the highest checkpoint of each of ``partitions``; None where a bucket has none."""
        if not partitions:
            return {}
        fields = [self._field(number) for number in partitions]
        rows = await self._run([Command("HMGET", [bucket.applied], fields) for bucket in self._buckets])
        await self._remove_garbled(fields, rows)
        columns = zip(*([offset_of(value) for value in row] for row in rows), strict=True)
        return {number: _range(column) for number, column in zip(partitions, columns, strict=True)}

    async def begin(self, positions: Mapping[int, int]) -> None:
        """Set checkpoints to offsets before which Kafka has nothing that the store lacks."""
        if positions:
            stored = [word for number, offset in positions.items() for word in (self._field(number), offset)]
            await self._run([Command("HSET", [bucket.applied], stored) for bucket in self._buckets])

    async def advance(
        self, spans: Mapping[int, Span], merges: Iterable[MergeResult], reached: Reached | None = None
    ) -> None:
        """Move the checkpoints over ``spans``, which are applied by ``merges``.

        The checkpoints have to stand at the begin of each span at least; beyond its end they stay. Each bucket saves
        the moments that its checkpoints then have ``reached``, in the same step.

        Raises:
            StoreRewound: the store has lost writes that it had acknowledged.
        """
        noted: defaultdict[int, list[tuple[bytes, int]]] = defaultdict(list)
        for merge in merges:
            for number, count in merge.calls.items():
                noted[number].append((self._buckets[number].calls(merge.merge_id), count))
        fields = _pack([(self._field(number), span.begin, span.end) for number, span in spans.items()])
        moments = _pack((*reached[:2], [(n, *of) for n, of in reached.moments.items()])) if reached else b""
        calls = [_advance(bucket, noted[bucket.number], (fields, self._topic, moments)) for bucket in self._buckets]
        replies = await self._run(calls, notes=[key for keys in noted.values() for key, _ in keys])
        garbled = [bucket.as_of for bucket, reply in zip(self._buckets, replies, strict=True) if reply == MADE_ANEW]
        if garbled:
            _log_removed([b"%b %b" % (key, self._topic.encode()) for key in garbled], "no times")
        if not all(replies):
            raise StoreRewound(f"the store lacks something of partitions {sorted(spans)} that it had acknowledged")

    def _field(self, number: int) -> str:
        return f"{self._head}{number}"

    async def _run(self, calls: Sequence[Command], *, notes: Sequence[bytes] = ()) -> list[Any]:
        try:
            return await self._connection.run(calls)
        except StoreRefused as error:
            await self._remove_others(error, notes)
            return await self._connection.run(calls)

    async def _remove_others(self, error: StoreRefused, notes: Sequence[bytes]) -> None:
        """Remove values of another type at the checkpoints' keys and at ``notes``.

        Raises ``error`` where there is none.
        """
        hashes = {key: b"hash" for bucket in self._buckets for key in (bucket.applied, bucket.as_of)}
        asked = hashes | dict.fromkeys(notes, b"string")
        kinds = await self._connection.run([Command("TYPE", [key]) for key in asked])
        keys = [key for key, kind in zip(asked, kinds, strict=True) if kind not in (asked[key], b"none")]
        if not keys:
            raise error
        _log_removed(keys, str(error))
        await self._connection.run([Command("UNLINK", [key]) for key in keys])

    async def _remove_garbled(self, fields: Sequence[str], rows: Sequence[Sequence[bytes | None]]) -> None:
        """Remove checkpoints that are no offsets."""
        garbled = [
            (bucket.applied, field)
            for bucket, row in zip(self._buckets, rows, strict=True)
            for field, value in zip(fields, row, strict=True)
            if value is not None and offset_of(value) is None
        ]
        if garbled:
            _log_removed([b"%b %b" % (key, field.encode()) for key, field in garbled], "no offsets")
            await self._connection.run([Command("HDEL", [key], [field]) for key, field in garbled])


def _range(offsets: Sequence[int | None]) -> CheckpointRange | None:
    known = [offset for offset in offsets if offset is not None]
    return CheckpointRange(min(known), max(known)) if len(known) == len(offsets) else None


def _log_removed(keys: Sequence[bytes], error: str) -> None:
    logger().error("markers_removed", keys=[key.decode() for key in keys], error=error)


def _advance(bucket: BucketKeys, noted: list[tuple[bytes, int]], arguments: tuple[bytes, str, bytes]) -> Command:
    keys = [bucket.applied, bucket.as_of, *(key for key, _ in noted)]
    return Command(ADVANCE, keys, [_pack([count for _, count in noted]), *arguments])
