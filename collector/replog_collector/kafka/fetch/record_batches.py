"""Kafka's record batches as bytes: where they begin and end, and what can be read of a damaged one. Pure.

`aiokafka` reads whole batches, far faster, and raises at the first thing that it cannot read.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from replog.errors import UnreadableError
from replog_collector.kafka.source import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What a batch of any format begins with: an offset, how many bytes follow these two, and behind four bytes that differ
#: by format its number (the magic).
START = struct.Struct(">qi4xb")
LENGTH_END = struct.calcsize(">qi")
#: The number of the format that is read here; those below are in :mod:`replog_collector.kafka.fetch.legacy_batches`.
DEFAULT_FORMAT = 2

_HEADER = struct.Struct(">qi4xb4xhiqq8x2x4xi")
#: Where the records begin, or what they are compressed to.
HEADER_BYTES = _HEADER.size
#: The byte that names the codec: the second of the attributes.
_CODEC_AT = struct.calcsize(">qi4xb4xb")
_CODEC_BITS = 0b111
_LOG_APPEND_TIME_BIT = 0b1000
_VARINT_BYTES = 10
#: Characters of a header's name that an error shows.
_SHOWN = 100


class Record(Struct, frozen=True, gc=False):
    """:class:`~replog_collector.kafka.source.Message`, cheap to make."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class BatchHeader(NamedTuple):
    """The header of a batch, as far as it is used here."""

    base_offset: int
    length: int
    magic: int
    attributes: int
    last_offset_delta: int
    first_timestamp: int
    max_timestamp: int
    records: int

    @classmethod
    def of(cls, batch: memoryview | bytes) -> BatchHeader:
        """The header of ``batch``.

        Raises:
            UnreadableError: it is shorter than a header.
        """
        if len(batch) < HEADER_BYTES:
            raise UnreadableError(f"the batch has {len(batch)} bytes, fewer than its header")
        return cls(*_HEADER.unpack_from(batch))

    @property
    def codec(self) -> int:
        """The number of its codec; 0 where it is not compressed."""
        return self.attributes & _CODEC_BITS

    @property
    def last_offset(self) -> int:
        """Offset of its last message, which compaction may have removed."""
        return self.base_offset + max(0, self.last_offset_delta)


class Batches:
    """The batches that a broker answered a fetch with, each with its bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    def __iter__(self) -> Iterator[tuple[memoryview, int | None]]:
        """Batches in order, each with the offset that the next begins with, None where there is none.

        One that is cut is left out, unless it is the first: it would be cut the next time too.
        """
        data, at, left = self._data, 0, len(self._data)
        while left >= START.size:
            size = START.unpack_from(data, at)[1] + LENGTH_END
            if size < LENGTH_END or (size > left and not at):
                size = left
            if size > left:
                return
            end, left = at + size, left - size
            yield data[at:end], START.unpack_from(data, end)[0] if left >= START.size else None
            at = end

    def has_next(self) -> bool:
        """Whether there is a batch at all, as aiokafka asks."""
        return len(self._data) >= START.size

    def size_in_bytes(self) -> int:
        """Zero: aiokafka takes an incomplete batch with a size for one that is too large to be fetched."""
        return 0


def decompressed(batch: memoryview, records: memoryview) -> bytes:
    """``batch`` without its codec, and with ``records`` for what is compressed in it."""
    header = bytearray(batch[:HEADER_BYTES])
    header[_CODEC_AT] &= ~_CODEC_BITS
    return b"".join((header, records))


def salvaged(partition: int, batch: memoryview | bytes, end: int) -> Iterator[Record | Unreadable]:
    """The records of an uncompressed batch, and :class:`Unreadable` with the readable parts of damaged ones.

    Its last offset is ``end`` less one, whatever its header says.
    """
    header = BatchHeader.of(batch)
    last = end - 1
    at, number, expected = HEADER_BYTES, 0, header.base_offset
    error: str | None = None
    while at < len(batch):
        try:
            length, begin = _varint(batch, at)
        except UnreadableError as cut:
            error = f"the length of record {number}: {cut}"
            break
        if not 0 < length <= len(batch) - begin:
            error = f"record {number} is said to have {length} bytes; {len(batch) - begin} are left"
            break
        message = _salvaged_record(partition, header, batch[begin : begin + length], expected, last)
        yield message
        at, number, expected = begin + length, number + 1, message.offset + 1
    if error is None and number != header.records:
        error = f"the batch has {number} records, and says {header.records}"
    if error is not None:
        yield Unreadable(partition, min(expected, last), error, last=last, timestamp=header.max_timestamp)


def _salvaged_record(
    partition: int, header: BatchHeader, body: memoryview | bytes, expected: int, last: int
) -> Record | Unreadable:
    parts = _Parts(body)
    parts.read()
    in_order = expected <= header.base_offset + parts.offset_delta <= last
    if not in_order and not parts.error:
        parts.error = f"the offset is {parts.offset_delta} behind that of the batch, which cannot be"
    offset = header.base_offset + parts.offset_delta if in_order else min(expected, last)
    timestamp = header.first_timestamp + parts.timestamp_delta
    if header.attributes & _LOG_APPEND_TIME_BIT:
        timestamp = header.max_timestamp
    if parts.error is None:
        return Record(partition, offset, timestamp, parts.key, parts.value, parts.headers)
    return Unreadable(
        partition, offset, parts.error, timestamp=timestamp, key=parts.key, value=parts.value, headers=parts.headers
    )


class _Parts:
    """The readable parts of one record's ``body``, and the error in the rest."""

    def __init__(self, body: memoryview | bytes) -> None:
        self._body = body
        self._at = 1  # behind the attributes, which say nothing
        self.timestamp_delta = 0
        self.offset_delta = -1
        self.key: bytes | None = None
        self.value: bytes | None = None
        self.headers: list[tuple[str, bytes | None]] = []
        self.error: str | None = None

    def read(self) -> None:
        """Read as far as possible."""
        part = "the timestamp"
        try:
            self.timestamp_delta = self._number()
            part = "the offset"
            self.offset_delta = self._number()
            part = "the key"
            self.key = self._bytes()
            part = "the value"
            self.value = self._bytes()
            part = "the headers"
            for _ in range(self._number()):
                self._read_header()
            if self._at != len(self._body):
                self.error = f"{len(self._body) - self._at} bytes follow the headers"
        except UnreadableError as cut:
            self.error = f"{part}: {cut}"

    def _read_header(self) -> None:
        name = self._bytes()
        if name is None:
            raise UnreadableError("a name is null")
        try:
            text = name.decode()
        except UnicodeDecodeError:
            text = name.decode(errors="backslashreplace")
            self.error = self.error or f"the name of header {len(self.headers)} is not UTF-8: {text[:_SHOWN]}"
        self.headers.append((text, self._bytes()))

    def _number(self) -> int:
        number, self._at = _varint(self._body, self._at)
        return number

    def _bytes(self) -> bytes | None:
        length = self._number()
        if length < 0:
            return None
        begin, self._at = self._at, self._at + length
        if self._at > len(self._body):
            raise UnreadableError(f"{length} bytes are said to follow, and {len(self._body) - begin} do")
        return bytes(self._body[begin : self._at])


def _varint(data: memoryview | bytes, at: int) -> tuple[int, int]:
    """The number of variable length at ``at``, and where it ends."""
    raw = 0
    for index, byte in enumerate(data[at : at + _VARINT_BYTES]):
        raw |= (byte & 0x7F) << 7 * index
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return (raw >> 1) ^ -(raw & 1), at + index + 1
    raise UnreadableError("a number is cut")
