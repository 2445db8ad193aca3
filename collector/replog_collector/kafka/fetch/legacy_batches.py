"""Messages of the formats before Kafka 0.11, which old topics still hold, as bytes. Pure.

A batch is one message; where that is compressed, its value holds the messages.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from replog.errors import UnreadableError
from replog_collector.kafka.fetch.decompression import LZ4, ZSTD
from replog_collector.kafka.fetch.record_batches import LENGTH_END, START, Batches, Record
from replog_collector.kafka.source import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CRC = struct.Struct(">I")
_ATTRIBUTES, _TIMESTAMP, _LENGTH = struct.Struct(">b"), struct.Struct(">q"), struct.Struct(">i")
_CODEC_BITS = 0b111
_LOG_APPEND_TIME_BIT = 0b1000
#: The timestamp of a message that has none.
NO_TIMESTAMP = -1


class _Message(NamedTuple):
    offset: int
    attributes: int
    timestamp: int
    key: bytes | None
    value: memoryview | None


def checksum_fits(batch: memoryview) -> bool:
    """Whether the bytes of ``batch`` are those that its checksum was made of."""
    return len(batch) >= START.size and _CRC.unpack_from(batch, LENGTH_END)[0] == crc32(batch[START.size - 1 :])


def messages(
    partition: int, batch: memoryview, decompress: Callable[[int, memoryview], memoryview]
) -> Iterator[Record | Unreadable]:
    """The messages of ``batch``, in order; what is wrong with all of it is raised at once.

    Raises:
        UnreadableError: it is damaged, or does not decompress.
    """
    outer = _message(batch)
    codec = outer.attributes & _CODEC_BITS
    if not codec:
        return iter((_record(partition, outer, outer.offset),))
    if outer.value is None or codec == ZSTD or (codec == LZ4 and _magic(batch) == 0):
        raise UnreadableError(f"the codec of number {codec} is not known in format {_magic(batch)}")
    # Copied: they are read one by one, while other batches are decompressed.
    held = bytes(decompress(codec, outer.value))
    inner = [message for message, _ in Batches(held)]
    if not inner or sum(map(len, inner)) != len(held):
        raise UnreadableError(f"the {len(held)} bytes that the batch holds are no whole messages")
    # In format 1 the messages are numbered by themselves, and the batch has the offset of the last.
    base = outer.offset - START.unpack_from(inner[-1])[0] if _magic(batch) else 0
    return (_inner(partition, message, base, outer) for message in inner)


def _inner(partition: int, data: memoryview, base: int, outer: _Message) -> Record | Unreadable:
    offset = base + START.unpack_from(data)[0]
    try:
        message = _message(data)
    except UnreadableError as error:
        return Unreadable(partition, min(offset, outer.offset), str(error), timestamp=outer.timestamp)
    if message.attributes & _CODEC_BITS:
        return Unreadable(partition, offset, "the message is compressed twice", timestamp=outer.timestamp)
    if outer.attributes & _LOG_APPEND_TIME_BIT:
        message = message._replace(timestamp=outer.timestamp)
    return _record(partition, message, offset)


def _record(partition: int, message: _Message, offset: int) -> Record:
    value = None if message.value is None else bytes(message.value)
    return Record(partition, offset, message.timestamp, message.key, value, [])


def _message(data: memoryview) -> _Message:
    offset, length, magic = START.unpack_from(data)
    if length != len(data) - LENGTH_END:
        raise UnreadableError(f"the message is said to have {length} bytes, and has {len(data) - LENGTH_END}")
    at, timestamp = START.size + _ATTRIBUTES.size, NO_TIMESTAMP
    try:
        (attributes,) = _ATTRIBUTES.unpack_from(data, START.size)
        if magic:
            (timestamp,) = _TIMESTAMP.unpack_from(data, at)
            at += _TIMESTAMP.size
        key, at = _part(data, at)
        value, at = _part(data, at)
    except struct.error as error:
        raise UnreadableError(f"the message is cut: {error}") from error
    return _Message(offset, attributes, timestamp, None if key is None else bytes(key), value)


def _part(data: memoryview, at: int) -> tuple[memoryview | None, int]:
    (length,) = _LENGTH.unpack_from(data, at)
    begin = at + _LENGTH.size
    if length < 0:
        return None, begin
    if begin + length > len(data):
        raise UnreadableError(f"{length} bytes are said to follow, and {len(data) - begin} do")
    return data[begin : begin + length], begin + length


def _magic(data: memoryview) -> int:
    magic: int = START.unpack_from(data)[2]
    return magic
