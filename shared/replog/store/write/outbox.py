"""The outbox: transitions of records that the store has and that are not published yet, one sorted set a bucket.

The merge that makes a transition notes it here in the same script call (``outbox.lua``), so that a process that dies at
any point leaves both or neither. Whoever publishes an entry removes it afterwards. An entry that two read, or whose
removal is lost, is published twice; none is published never.

An entry is a member of the set: the record's id, a NUL, the order key of the outcome that it reached, and a msgpack
array of, in turn, names and values of :data:`~replog.store.format.rows.RECORD_FIELDS` at that time. Members sort by
record, and those of one record by outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgpack

from replog.errors import StoreRefused
from replog.records import outcome_order_size
from replog.store.client.command import Command
from replog.store.format.keys import BUCKETS, BucketKeys, RecordKeys
from replog.store.format.rows import RECORD_FIELDS, ROLL_UP_FIELDS, StoredRecord
from replog.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from replog.store.client.pipelining import CommandRunner

#: Most entries read from a bucket at once. With all buckets that is a thousand, usually some 500 KB.
ENTRIES_A_BUCKET = 16


class OutboxEntry(NamedTuple):
    """One transition of a record, as the store noted it."""

    bucket: int
    #: The member of the set, which identifies the entry.
    member: bytes
    #: The record as it was right after the transition.
    record: StoredRecord

    @property
    def noted_ms(self) -> int:
        """Time of the note in ms since 1970, by the clock of the collector that merged."""
        return self.record.written_ms


class Outbox:
    """Reads and empties the outbox. Every method raises :class:`~replog.errors.StoreUnavailable`; call it again."""

    #: Most entries of a bucket that one call of :meth:`read` returns. Fewer are the last ones.
    page = ENTRIES_A_BUCKET

    def __init__(self, connection: CommandRunner) -> None:
        self._connection = connection

    async def read(self, after: Mapping[int, bytes]) -> list[OutboxEntry]:
        """The first entries of each bucket that is named in ``after``, behind a member of it; ``b""``: from the first.

        Entries of a record are in the order of its outcomes. Roll-ups are as they are now, where the record still
        exists: details of a batch may be merged after its record.
        """
        entries, garbage = _sorted_out(await self._members(after))
        while garbage:
            await self._discard(garbage)
            entries, garbage = _sorted_out(await self._members(after))
        return await self._with_roll_ups(entries)

    async def size(self) -> int:
        """The number of entries in all buckets."""
        keys = [BucketKeys(self._connection.prefix, number).outbox for number in range(BUCKETS)]
        return sum(await self._connection.run([Command("ZCARD", [key]) for key in keys]))

    async def remove(self, entries: Iterable[OutboxEntry]) -> None:
        """Remove exactly these entries."""
        await self._remove([(entry.bucket, entry.member) for entry in entries])

    async def _members(self, after: Mapping[int, bytes]) -> dict[int, list[bytes]]:
        keys = {number: BucketKeys(self._connection.prefix, number).outbox for number in after}
        calls = [
            Command("ZRANGEBYLEX", [key], [b"(" + after[number], "+", "LIMIT", 0, ENTRIES_A_BUCKET])
            for number, key in keys.items()
        ]
        try:
            found = await self._connection.run(calls)
        except StoreRefused as error:
            await self._remove_others(list(keys.values()), error)
            found = await self._connection.run(calls)
        return dict(zip(keys, found, strict=True))

    async def _remove_others(self, keys: Sequence[bytes], error: StoreRefused) -> None:
        """Remove values of another type at ``keys``. Raises ``error`` where there is none."""
        kinds = await self._connection.run([Command("TYPE", [key]) for key in keys])
        others = [key for key, kind in zip(keys, kinds, strict=True) if kind not in (b"zset", b"none")]
        if not others:
            raise error
        for key in others:
            logger().error("garbage_removed", key=key.decode(), entries=[str(error)])
        await self._connection.run([Command("UNLINK", [key]) for key in others])

    async def _discard(self, garbage: Mapping[int, Sequence[bytes]]) -> None:
        for number, members in garbage.items():
            key = BucketKeys(self._connection.prefix, number).outbox.decode()
            logger().error("garbage_removed", key=key, entries=[repr(member) for member in members])
        await self._remove([(number, member) for number, members in garbage.items() for member in members])

    async def _remove(self, members: Iterable[tuple[int, bytes]]) -> None:
        by_bucket: dict[int, list[bytes]] = {}
        for number, member in members:
            by_bucket.setdefault(number, []).append(member)
        prefix = self._connection.prefix
        await self._connection.run(
            [Command("ZREM", [BucketKeys(prefix, number).outbox], gone) for number, gone in by_bucket.items()]
        )

    async def _with_roll_ups(self, entries: Sequence[OutboxEntry]) -> list[OutboxEntry]:
        keys = [RecordKeys(self._connection.prefix, entry.record.record_id).record for entry in entries]
        rows = await self._connection.run([Command("HMGET", [key], ROLL_UP_FIELDS) for key in keys])
        return [
            OutboxEntry(entry.bucket, entry.member, entry.record.with_roll_up(row))
            for entry, row in zip(entries, rows, strict=True)
        ]


def _sorted_out(members: Mapping[int, Sequence[bytes]]) -> tuple[list[OutboxEntry], dict[int, list[bytes]]]:
    """The entries that ``members`` of buckets are, and by bucket those that are none: somebody else wrote them."""
    entries: list[OutboxEntry] = []
    garbage: dict[int, list[bytes]] = {}
    for number, found in members.items():
        for member in found:
            entry = _entry_of(number, member)
            if entry is None:
                garbage.setdefault(number, []).append(member)
            else:
                entries.append(entry)
    return entries, garbage


def _entry_of(number: int, member: bytes) -> OutboxEntry | None:
    """The entry; None where ``member`` is none."""
    raw_id, _, rest = member.partition(b"\0")
    try:
        pairs = msgpack.unpackb(rest[outcome_order_size(rest) :], raw=True)
        values = dict(zip(pairs[::2], pairs[1::2], strict=True))
        record = StoredRecord(raw_id.decode(), tuple([values.get(name) or None for name in _NAMES]))
        record.read_raw()
        return OutboxEntry(number, member, record)
    except _GARBLED:
        return None


_NAMES = [name.encode() for name in RECORD_FIELDS]
#: What reading bytes of another shape raises.
_GARBLED: tuple[type[Exception], ...] = (ValueError, TypeError, LookupError)


def buckets_from(numbers: Iterable[int]) -> dict[int, bytes]:
    """The argument of :meth:`Outbox.read` that begins with the first entries of these buckets."""
    return dict.fromkeys(numbers, b"")
