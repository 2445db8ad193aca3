"""Reads the registers of a store: of each bucket every record with its details, in calls of bounded size.

What is there all the while is read, however much comes, goes or moves meanwhile: keys are walked by cursors, which
promise that, and not by ranks. Something may be read twice, and what changes meanwhile as it was before or after. The
registers are a join, so that none of this matters to who merges them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from replog.errors import StoreRefused
from replog.records import EMPTY, TIME_BYTES, Registers, last_ms
from replog.store.client.command import Command
from replog.store.format import detail_codec
from replog.store.format.keys import BucketKeys, RecordKeys, record_key
from replog.store.format.layout import all_buckets, evidence_of_data

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from replog.store.client.pipelining import CommandRunner

#: What reading bytes of another shape raises.
GARBLED = (ValueError, TypeError, LookupError)
_FIELDS = ("start", "facts", "outcome", "progress", "last", "tasks", "ahead")
_REGISTERS = len(Registers._fields)


@dataclass(frozen=True)
class Bounds:
    """Limits of one step of the scan."""

    #: Ids that one call finds in a bucket's index, about.
    ids_a_call: int = 500
    #: Records that are read together.
    records_at_once: int = 16
    #: Details of a record in its first call, which does not know how large they are, and in any.
    first_details: int = 20
    most_details: int = 500
    #: Bytes that a call may find, about: Redis takes some 5 ms for a MiB.
    bytes_a_call: int = 1024 * 1024


_BOUNDS = Bounds()


class RecordPart(NamedTuple):
    """A record, or a part of it: its own registers come with the first part, and each detail with one.

    ``registers`` are empty in later parts, and where no event of the record itself was seen. ``newest_ms`` is the time
    of the newest event of the record and its details. The first part ``begins`` the record. All events of it are later
    than its ``generation`` (``erased`` in ``keys.py``), which may be an earlier one than the record has by now.
    """

    record_id: str
    newest_ms: int
    registers: Registers
    task_keys: tuple[str, ...]
    details: Mapping[str, Registers]
    begins: bool = True
    generation: bytes = b""


class Erasure(NamedTuple):
    """A record that was erased, up to ``generation``; ``restoring`` where it has to get later events from the topic."""

    record_id: str
    generation: bytes
    restoring: bool


class RemovedRecord(NamedTuple):
    """A record that retention removed; ``at_ms`` and ``claimed_ms`` are times of its last event, see ``keys.py``."""

    record_id: str
    at_ms: int
    claimed_ms: int | None


class RegisterScan:
    """Reads one store. ``unreadable`` is called with a key and the reason, where somebody wrote something else to it.

    Every method raises :class:`~replog.errors.StoreUnavailable` where Redis does not answer.
    """

    def __init__(
        self,
        connection: CommandRunner,
        *,
        unreadable: Callable[[bytes, str], None],
        bounds: Bounds = _BOUNDS,
    ) -> None:
        self._connection = connection
        self._unreadable = unreadable
        self._bounds = bounds

    async def count(self) -> int:
        """The number of records and details, as it is now."""
        found = 0
        for number in await self.occupied():
            async for ids in self.record_ids(number):
                sizes = await self._each([Command("HLEN", [self._keys(i).details]) for i in ids])
                found += len(ids) + sum(filter(None, sizes))
        return found

    async def occupied(self) -> list[int]:
        """The buckets that have, or had, a record or a task."""
        buckets = all_buckets(self._connection.prefix)
        asked = [
            Command("EXISTS", [*evidence_of_data(bucket), bucket.running, bucket.unfinished]) for bucket in buckets
        ]
        found = await self._connection.run(asked)
        return [bucket.number for bucket, count in zip(buckets, found, strict=True) if count]

    async def record_ids(self, bucket: int) -> AsyncIterator[list[str]]:
        """The ids of the bucket's records, in steps."""
        async for found in self._due(bucket):
            yield [*found]

    async def parts(self, bucket: int) -> AsyncIterator[list[RecordPart]]:
        """All records of the bucket with their details, in steps."""
        async for due in self._due(bucket):
            ids = [*due]
            for i in range(0, len(ids), self._bounds.records_at_once):
                some = {record_id: due[record_id] for record_id in ids[i : i + self._bounds.records_at_once]}
                async for parts in self._parts_of(some):
                    yield parts

    async def removed(self, bucket: int) -> AsyncIterator[list[RemovedRecord]]:
        """The records of the bucket that retention removed, in steps."""
        keys = BucketKeys(self._connection.prefix, bucket)
        async for found in self._scan(keys.removed):
            scores = self._texts(keys.removed, found)
            if not scores:
                continue
            (claims,) = await self._each([Command("HMGET", [keys.claimed], [*scores])])
            known = claims or [None] * len(scores)
            yield [
                RemovedRecord(record_id, int(score), int(claim) if claim else None)
                for (record_id, score), claim in zip(scores.items(), known, strict=True)
            ]

    async def erasures(self, bucket: int) -> list[Erasure]:
        """The erased records of the bucket.

        What has to be restored is read after what was erased. So of a record whose generation is the same after its
        registers were read, either these have all later events, or it is said here that they have not.
        """
        keys = BucketKeys(self._connection.prefix, bucket)
        generations = await self._generations(keys.erased)
        restoring = await self._generations(keys.restoring)
        return [Erasure(of, generation, of in restoring) for of, generation in generations.items()]

    async def erasure(self, record_id: str) -> Erasure:
        """The erasure of a record; its generation is empty where it was not erased."""
        bucket = self._keys(record_id).bucket
        asked = [Command("HGET", [key], [record_id]) for key in (bucket.erased, bucket.restoring)]
        generation, restoring = await self._each(asked)
        return Erasure(record_id, generation or b"", restoring is not None)

    async def details_of(self, record_id: str) -> AsyncIterator[dict[str, Registers]]:
        """All details of a record, in steps."""
        walk = _Walk(record_id, self._bounds)
        while not walk.over:
            ((cursor, values),) = await self._connection.run([self._details_call(walk)])
            walk.went(int(cursor), values)
            yield self._details(record_id, values)

    async def record(self, record_id: str) -> RecordPart | None:
        """A record without its details; None where neither an event of it nor of a detail was seen."""
        # Before the registers: these are of that generation, or a later one.
        erasure = await self.erasure(record_id)
        (score,) = await self._connection.run([Command("ZSCORE", [self._keys(record_id).bucket.due], [record_id])])
        if score is None:
            return None
        (part,) = (await self._records({record_id: score})).values()
        return part._replace(generation=erasure.generation)

    async def _generations(self, key: bytes) -> dict[str, bytes]:
        """A hash of records' ids and generations."""
        found, cursor = dict[str, bytes](), 0
        while True:
            (reply,) = await self._each([Command("HSCAN", [key], [cursor, "COUNT", self._bounds.ids_a_call])])
            if reply is None:
                return found
            cursor = int(reply[0])
            for raw_id, generation in reply[1].items():
                self._take_generation(key, raw_id, generation, found)
            if not cursor:
                return found

    def _take_generation(self, key: bytes, raw_id: bytes, generation: bytes, found: dict[str, bytes]) -> None:
        try:
            record_id = raw_id.decode()
        except UnicodeDecodeError as error:
            self._unreadable(key, f"no record's id: {error}")
            return
        if len(generation) == TIME_BYTES:
            found[record_id] = generation
        else:
            self._unreadable(key, f"{record_id}: no time of an erasure: {generation!r}")

    async def _due(self, bucket: int) -> AsyncIterator[dict[str, float]]:
        key = BucketKeys(self._connection.prefix, bucket).due
        async for found in self._scan(key):
            if texts := self._texts(key, found):
                yield texts

    async def _scan(self, key: bytes) -> AsyncIterator[list[tuple[bytes, float]]]:
        cursor = 0
        while True:
            (reply,) = await self._each([Command("ZSCAN", [key], [cursor, "COUNT", self._bounds.ids_a_call])])
            if reply is None:
                return
            cursor, found = int(reply[0]), reply[1]
            if found:
                yield found
            if not cursor:
                return

    def _texts(self, key: bytes, found: list[tuple[bytes, float]]) -> dict[str, float]:
        texts = {}
        for raw, score in found:
            try:
                texts[raw.decode()] = float(score)
            except UnicodeDecodeError as error:
                self._unreadable(key, f"no record's id: {error}")
        return texts

    async def _parts_of(self, due: dict[str, float]) -> AsyncIterator[list[RecordPart]]:
        records = await self._records(due)
        walks = [_Walk(record_id, self._bounds) for record_id in records]
        while walks:
            replies = await self._each([self._details_call(walk) for walk in walks])
            parts = []
            for walk, reply in zip(walks, replies, strict=True):
                cursor, values = reply or (0, {})
                walk.went(int(cursor), values)
                first = records[walk.record_id]
                parts.append(first._replace(details=self._details(walk.record_id, values)))
                records[walk.record_id] = first._replace(registers=EMPTY, task_keys=(), begins=False)
            yield parts
            walks = [walk for walk in walks if not walk.over]

    async def _records(self, due: Mapping[str, float]) -> dict[str, RecordPart]:
        calls = [Command("HMGET", [self._record_key(record_id)], _FIELDS) for record_id in due]
        rows = await self._each(calls)
        records = {}
        for (record_id, score), row in zip(due.items(), rows, strict=True):
            try:
                records[record_id] = _record(record_id, int(score), row or [None] * len(_FIELDS))
            except GARBLED as error:
                self._unreadable(self._record_key(record_id), f"cannot be read: {error!r}")
        return records

    def _details(self, record_id: str, values: Mapping[bytes, bytes]) -> dict[str, Registers]:
        details = {}
        for raw_id, value in values.items():
            try:
                details[raw_id.decode()] = detail_codec.unpack(value)
            except GARBLED as error:
                self._unreadable(self._keys(record_id).details, f"{raw_id!r} cannot be read: {error!r}")
        return details

    async def _each(self, calls: Sequence[Command]) -> list[Any]:
        """The replies to ``calls``; None to one that Redis refuses for what its key holds."""
        try:
            return await self._connection.run(calls)
        except StoreRefused:
            return [await self._one(call) for call in calls]

    async def _one(self, call: Command) -> Any:
        try:
            (reply,) = await self._connection.run([call])
        except StoreRefused as error:
            self._unreadable(call.keys[0], str(error))
            return None
        return reply

    def _details_call(self, walk: _Walk) -> Command:
        return Command("HSCAN", [self._keys(walk.record_id).details], [walk.cursor, "COUNT", walk.step])

    def _keys(self, record_id: str) -> RecordKeys:
        return RecordKeys(self._connection.prefix, record_id)

    def _record_key(self, record_id: str) -> bytes:
        return record_key(self._connection.prefix, record_id)


class _Walk:
    """A walk over the details of one record; its steps fit the widest detail seen."""

    def __init__(self, record_id: str, bounds: Bounds) -> None:
        self.record_id = record_id
        self.cursor = 0
        self.step = bounds.first_details
        self.over = False
        self._bounds = bounds
        self._widest = 1

    def went(self, cursor: int, values: Mapping[bytes, bytes]) -> None:
        """Note what the last step has found."""
        self.cursor, self.over = cursor, not cursor
        self._widest = max(self._widest, *map(len, values.values())) if values else self._widest
        self.step = max(1, min(self._bounds.most_details, self._bounds.bytes_a_call // self._widest))


def _record(record_id: str, due_ms: int, row: Sequence[bytes | None]) -> RecordPart:
    start, facts, outcome, progress, last = (field or b"" for field in row[:_REGISTERS])
    tasks, ahead = row[_REGISTERS:]
    newest_ms = max(due_ms, int(ahead or due_ms), last_ms(last) if last else due_ms)
    task_keys = tuple(raw.decode() for raw in msgpack.unpackb(tasks, raw=True)) if tasks else ()
    return RecordPart(record_id, newest_ms, Registers(start, facts, outcome, progress, last), task_keys, {})
