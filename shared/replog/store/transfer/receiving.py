"""Merges what another store has into this one, and takes over its checkpoints once all of it is there.

A collector that starts on this store then goes on from these checkpoints: before them the other store had everything
when its registers were read, so that this one has it, too. They are never moved back: where this store has a later
checkpoint, it has had everything before that by itself.

Which buckets are complete is noted in this store, so that a transfer that was cut off goes on there. The notes go with
the end of the transfer, and after :data:`NOTES_KEPT_S`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from replog.store.client.command import Command
from replog.store.client.scripts import ADVANCE, NOTE_RESTORING, REMEMBER_REMOVED
from replog.store.format.keys import BucketKeys, bucket_of
from replog.store.format.layout import own_mark
from replog.store.transfer.stored_states import StoredStates
from replog.store.write.writer import Writer

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from replog.records import Effect
    from replog.store.client.pipelining import CommandRunner
    from replog.store.transfer.register_scan import Erasure, RecordPart, RemovedRecord

#: Seconds after which a transfer that was cut off begins anew.
NOTES_KEPT_S = 86_400
#: Records that one call notes to be restored.
NOTED_A_CALL = 500
#: No checkpoint is below this: one that is missing is to be set.
_ANY = -1
_NOTHING = b""

_pack = msgpack.Packer(use_bin_type=False).pack


class CompleteBucket(NamedTuple):
    """A bucket of which everything was merged, and the other store's checkpoints from before it was read."""

    bucket: int
    checkpoints: Mapping[str, int]


async def checkpoints_of(connection: CommandRunner, bucket: int) -> dict[str, int]:
    """All checkpoints of a bucket: by group, topic and partition, as ``keys.py`` says. Raises StoreUnavailable."""
    (found,) = await connection.run([Command("HGETALL", [BucketKeys(connection.prefix, bucket).applied])])
    return {field.decode(): int(offset) for field, offset in found.items() if offset.isdigit()}


class Receiver:
    """Writes to one store; ``source`` names what is merged into it, so that notes of another transfer do not count.

    Every method raises :class:`~replog.errors.StoreUnavailable` where Redis does not answer; call it again.
    """

    def __init__(self, connection: CommandRunner, source: str, *, clock: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._source = source
        self._writer = Writer(connection, clock=clock)

    async def merge(self, parts: Sequence[RecordPart]) -> Counter[tuple[str, Effect]]:
        """Merge records with their details; returns how many of each had which effect.

        Of a record that this store has erased up to a later time, nothing is taken. If it had later events than that,
        it is noted to be restored from the topic.
        """
        return await self._merge(StoredStates(parts))

    async def erase(self, erasures: Sequence[Erasure]) -> Counter[tuple[str, Effect]]:
        """Forget what another store has forgotten; what it has to restore from the topic, this one has to, too."""
        states = StoredStates(erasures={of.record_id: of.generation for of in erasures})
        states.to_restore.update(of.record_id for of in erasures if of.restoring)
        return await self._merge(states)

    async def _merge(self, states: StoredStates) -> Counter[tuple[str, Effect]]:
        result = await self._writer.merge(states)
        await self._note_restoring(states.to_restore)
        buckets = (BucketKeys(self._connection.prefix, number) for number in result.calls)
        # No checkpoints wait for these notes: that all of it arrived is known by the connection's epoch.
        await self._connection.run([Command("UNLINK", [bucket.calls(result.merge_id)]) for bucket in buckets])
        return result.effects

    async def _note_restoring(self, record_ids: Iterable[str]) -> None:
        by_bucket = defaultdict[int, list[str]](list)
        for record_id in record_ids:
            by_bucket[bucket_of(record_id)].append(record_id)
        for number, ids in by_bucket.items():
            keys = BucketKeys(self._connection.prefix, number)
            steps = (ids[i : i + NOTED_A_CALL] for i in range(0, len(ids), NOTED_A_CALL))
            await self._connection.run([Command(NOTE_RESTORING, [keys.erased, keys.restoring], of) for of in steps])

    async def remember_removed(self, bucket: int, removed: Sequence[RemovedRecord]) -> None:
        """Remember that retention removed these records, where this store does not have them."""
        keys = BucketKeys(self._connection.prefix, bucket)
        noted = _pack([(of.record_id, of.at_ms, _or_nothing(of.claimed_ms)) for of in removed])
        place = [keys.due, keys.removed, keys.claimed, keys.layout]
        await self._connection.run([Command(REMEMBER_REMOVED, place, (noted, own_mark()))])

    async def note_complete(self, complete: CompleteBucket) -> None:
        """Note that everything of a bucket was merged."""
        note = _pack((self._source, dict(complete.checkpoints)))
        await self._connection.run([Command("SET", [self._note(complete.bucket)], [note, "EX", NOTES_KEPT_S])])

    async def complete(self, bucket: int) -> CompleteBucket | None:
        """The note of a transfer from the same source about a bucket; None where that was not complete."""
        (note,) = await self._connection.run([Command("GET", [self._note(bucket)])])
        if note is None:
            return None
        source, checkpoints = msgpack.unpackb(note)
        return CompleteBucket(bucket, checkpoints) if source == self._source else None

    async def finish(self, buckets: Sequence[CompleteBucket]) -> None:
        """Take over the checkpoints of all buckets, where they are later, and remove the notes."""
        await self._connection.run([self._raising(of) for of in buckets if of.checkpoints])
        await self.forget_notes(buckets)

    async def forget_notes(self, buckets: Sequence[CompleteBucket]) -> None:
        """Remove the notes of these buckets: the next transfer begins with them anew."""
        await self._connection.run([Command("UNLINK", [self._note(of.bucket)]) for of in buckets])

    def _raising(self, of: CompleteBucket) -> Command:
        keys = BucketKeys(self._connection.prefix, of.bucket)
        fields = _pack([(field, _ANY, offset) for field, offset in of.checkpoints.items()])
        return Command(ADVANCE, [keys.applied, keys.as_of], (_pack([]), fields, _NOTHING, _NOTHING))

    def _note(self, bucket: int) -> bytes:
        return BucketKeys(self._connection.prefix, bucket).copied


def _or_nothing(ms: int | None) -> str:
    return "" if ms is None else str(ms)
