"""Another store as what a store should have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.store.client.command import Command
from replog.store.format import detail_codec
from replog.store.format.keys import RecordKeys
from replog.store.inspect.task_check import listed_records
from replog.store.read.bounded_reads import values_of
from replog.store.transfer.register_scan import RegisterScan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

    from replog.records import Registers
    from replog.store.client.pipelining import CommandRunner
    from replog.store.transfer.register_scan import Erasure, RecordPart


class OtherStore:
    """Reads a store; ``unreadable`` is called with a key and the reason, where somebody wrote something else to it."""

    def __init__(self, connection: CommandRunner, *, unreadable: Callable[[bytes, str], None]) -> None:
        self._connection = connection
        self._scan = RegisterScan(connection, unreadable=unreadable)

    async def renew(self) -> None:
        """Do nothing: each read is of the store as it is then."""

    async def record_ids(self, bucket: int) -> AsyncIterator[Sequence[str]]:
        """The ids of a bucket's records, in steps."""
        async for ids in self._scan.record_ids(bucket):
            yield ids

    async def task_records(self, task_key: str) -> AsyncIterator[Sequence[str]]:
        """The ids of the records that the task's list has there, in steps."""
        async for ids in listed_records(self._connection, task_key):
            yield ids

    async def record(self, record_id: str) -> RecordPart | None:
        """A record without its details."""
        return await self._scan.record(record_id)

    async def erasure(self, record_id: str) -> Erasure:
        """Up to which time the record is erased there."""
        return await self._scan.erasure(record_id)

    async def details(self, record_id: str, ids: Collection[str]) -> Mapping[str, Registers]:
        """Those of these details that the store has."""
        raw_ids = [detail_id.encode() for detail_id in ids]
        key = RecordKeys(self._connection.prefix, record_id).details
        return {
            raw_id.decode(): detail_codec.unpack(value)
            async for raw_id, value in values_of(self._connection, key, raw_ids)
        }

    async def detail_count(self, record_id: str) -> int:
        """The number of the record's details."""
        key = RecordKeys(self._connection.prefix, record_id).details
        (size,) = await self._connection.run([Command("HLEN", [key])])
        return int(size)

    async def detail_steps(self, record_id: str) -> AsyncIterator[Mapping[str, Registers]]:
        """All details of the record, in steps."""
        async for step in self._scan.details_of(record_id):
            yield step

    def is_whole(self, start_ms: int) -> bool:
        """Whether everything is known of what began then: a store keeps what it has of a record."""
        return True
