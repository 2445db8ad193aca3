"""Messages of a fetch response, read such that damaged ones do not raise.

aiokafka raises the error of a damaged batch out of the poll, and again out of every later one. Here a message that
cannot be read is passed over alone, and a batch of which nothing can be read as a whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch

from replog.errors import UnreadableError
from replog_collector.kafka.fetch import legacy_batches
from replog_collector.kafka.fetch.decompression import Decompressor
from replog_collector.kafka.fetch.legacy_batches import NO_TIMESTAMP
from replog_collector.kafka.fetch.record_batches import (
    DEFAULT_FORMAT,
    HEADER_BYTES,
    LENGTH_END,
    START,
    BatchHeader,
    Record,
    decompressed,
    salvaged,
)
from replog_collector.kafka.source import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from aiokafka import TopicPartition


class FetchAgainError(Exception):
    """The rest of the response is left unread, and fetched again with a later poll."""


class RecordReader:
    """Reads the fetch responses of one client, within its limit of bytes.

    ``end`` tells the offset after the last message of a partition.
    """

    def __init__(self, max_batch_bytes: int, end: Callable[[TopicPartition], int]) -> None:
        self.end = end
        self._max_batch_bytes = self._left_bytes = max_batch_bytes
        self._decompress = Decompressor(max_batch_bytes)
        #: By partition, the offset of a batch whose checksum did not fit when it was fetched last.
        self._suspects: dict[TopicPartition, int] = {}

    def begin_poll(self) -> None:
        """Allow the next poll as many bytes as one batch."""
        self._left_bytes = self._max_batch_bytes

    def decompress(self, codec: int, data: memoryview) -> memoryview:
        """The decompressed ``data``; valid until the next call.

        Raises:
            FetchAgainError: the poll has decompressed as much as is allowed.
            UnreadableError: it does not decompress, or to too much.
        """
        if self._left_bytes <= 0:
            raise FetchAgainError
        # One that is too large costs as much time as a poll may take.
        left, self._left_bytes = self._left_bytes, 0
        data = self._decompress(codec, data)
        self._left_bytes = left - len(data)
        return data

    def again(self, codec: int, data: memoryview) -> memoryview:
        """As :meth:`decompress`, for data that it has decompressed before."""
        return self._decompress(codec, data)

    def suspect(self, partition: TopicPartition, offset: int) -> NoReturn:
        """Raise for the batch at ``offset``, whose checksum does not match: fetch it again, or pass it over.

        Raises:
            FetchAgainError: the first time; the damage may have happened on the way from the broker.
            UnreadableError: the second time.
        """
        if self._suspects.get(partition) != offset:
            self._suspects[partition] = offset
            raise FetchAgainError
        raise UnreadableError("the checksum of the batch does not fit")


#: Records as aiokafka reads them, records as this module reads them, and the offset after the batch.
_Opened: TypeAlias = "tuple[Iterable[Any], Iterable[Record | Unreadable], int]"


class FetchedRecords(PartitionRecords):
    """The fetched records of one partition: aiokafka's class, except for the unpacking.

    Its iterator gives messages, and :class:`~replog_collector.kafka.source.Unreadable` for those that cannot be read.
    """

    def __init__(self, reader: RecordReader, partition: TopicPartition, *rest: Any) -> None:
        self._reader = reader
        #: The offset behind the last message of the partition, once somebody asked.
        self._limit: int | None = None
        super().__init__(partition, *rest)  # type: ignore[no-untyped-call]

    def _unpack_records(self) -> Iterator[Record | Unreadable]:
        partition = self._tp.partition
        slow: Iterable[Record | Unreadable]
        for data, following in self._records:
            end = 0
            try:
                fast, slow, end = self._opened(data, following)
                for record in fast:
                    offset = record.offset
                    if offset < self.next_fetch_offset:
                        continue
                    if offset >= end:
                        raise CorruptRecordException  # noqa: TRY301 - as for what aiokafka itself finds
                    self.next_fetch_offset = offset + 1
                    yield Record(partition, offset, record.timestamp, record.key, record.value, record.headers)
            except FetchAgainError:
                return
            except UnreadableError as error:
                slow = (self._passed_over(data, following, str(error)),)
            except Exception:  # whatever is raised while records are read belongs to their batch
                if not end:
                    raise
                slow = self._salvaged(data, end)
            if slow:
                yield from self._unpacked_already(slow)
            self.next_fetch_offset = max(self.next_fetch_offset, end)

    def _unpacked_already(self, messages: Iterable[Record | Unreadable]) -> Iterator[Record | Unreadable]:
        for message in messages:
            if (end := _end(message)) <= self.next_fetch_offset:
                continue
            begin, self.next_fetch_offset = self.next_fetch_offset, end
            if isinstance(message, Unreadable) and message.offset < begin:
                message = replace(message, offset=begin)  # noqa: PLW2901 - what is left of it
            yield message

    def _opened(self, data: memoryview, following: int | None) -> _Opened:
        offset, length, magic = START.unpack_from(data)
        if following is not None and offset < following <= self.next_fetch_offset:
            # It was read before.
            return (), (), following
        if length != len(data) - LENGTH_END:
            raise UnreadableError(f"the batch is said to have {length} bytes, and has {len(data) - LENGTH_END}")
        if magic == DEFAULT_FORMAT:
            return self._opened_default(data, following)
        if not 0 <= magic < DEFAULT_FORMAT:
            raise UnreadableError(f"format {magic} is not known")
        if not legacy_batches.checksum_fits(data):
            self._reader.suspect(self._tp, offset)
        if self._bounded(offset + 1, following) <= offset:
            raise UnreadableError(f"the offset of the batch is {offset}, and that of the next {following}")
        return (), legacy_batches.messages(self._tp.partition, data, self._reader.decompress), offset + 1

    def _opened_default(self, data: memoryview, following: int | None) -> _Opened:
        if len(data) < HEADER_BYTES:
            raise UnreadableError(f"the batch has {len(data)} bytes, fewer than its header")
        batch = DefaultRecordBatch(data)
        if not batch.validate_crc():
            self._reader.suspect(self._tp, batch.base_offset)
        end = self._bounded(batch.next_offset, following)
        if end <= self.next_fetch_offset or self._is_passed(batch):
            return (), (), end
        if batch.compression_type:
            records = self._reader.decompress(batch.compression_type, data[HEADER_BYTES:])
            batch = DefaultRecordBatch(decompressed(data, records))
        return batch, (), end

    def _bounded(self, end: int, following: int | None) -> int:
        """``end`` of a batch by its own account, but neither within the next nor beyond what the partition has."""
        if self._limit is None:
            self._limit = self._reader.end(self._tp)
        if self.next_fetch_offset < self._limit < end:
            end = self._limit
        return following if following is not None and self.next_fetch_offset < following < end else end

    def _salvaged(self, data: memoryview, end: int) -> Iterable[Record | Unreadable]:
        if codec := BatchHeader.of(data).codec:
            return salvaged(self._tp.partition, decompressed(data, self._reader.again(codec, data[HEADER_BYTES:])), end)
        return salvaged(self._tp.partition, data, end)

    def _is_passed(self, batch: Any) -> bool:
        """Whether ``batch`` is none of messages, or of a transaction that was aborted."""
        if self._isolation_level == READ_COMMITTED:
            self._consume_aborted_up_to(batch.base_offset)  # type: ignore[no-untyped-call]
            if batch.is_control_batch and self._ends_aborted(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)

    def _ends_aborted(self, batch: Any) -> bool:
        try:
            return bool(self._contains_abort_marker(batch))  # type: ignore[no-untyped-call]
        except Exception as error:
            raise UnreadableError(f"the end of a transaction: {error!r}") from error

    def _passed_over(self, data: memoryview, following: int | None, error: str) -> Unreadable:
        """All of a batch that is left to read."""
        offset, _, magic = START.unpack_from(data)
        # Those of the old formats begin somewhere before the offset that they have.
        first, end, timestamp = self.next_fetch_offset, offset + 1, NO_TIMESTAMP
        if magic == DEFAULT_FORMAT and len(data) >= HEADER_BYTES:
            header = BatchHeader.of(data)
            first, end, timestamp = max(first, offset), header.last_offset + 1, header.max_timestamp
        last = self._bounded(end, following) - 1
        first = max(self.next_fetch_offset, min(first, last))
        return Unreadable(self._tp.partition, first, error, last=max(first, last), timestamp=timestamp)


def _end(message: Record | Unreadable) -> int:
    return (message.last if isinstance(message, Unreadable) else message.offset) + 1
