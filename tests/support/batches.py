"""Kafka's batches as bytes, also such as no client makes; and a way to have a broker take them."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import cramjam
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.errors import NoError, NotLeaderForPartitionError, for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
ENCODERS: dict[int, Callable[[bytes], bytes]] = {
    GZIP: gzip_encode,
    SNAPPY: snappy_encode,
    LZ4: lz4_encode,
    ZSTD: zstd_encode,
}
ANSWER_MS = 10_000
#: Where the checksum of a batch stands, and what it is made of begins.
CRC_AT, CHECKED_AT, HEADER_BYTES = 17, 21, 61


class Raw(NamedTuple):
    """A message; the names of its headers are any bytes."""

    value: bytes | None
    key: bytes | None = b"k"
    headers: Sequence[tuple[bytes, bytes | None]] = ()


def batch(messages: Sequence[Raw], *, codec: int = 0, base: int = 0, timestamp: int = 1000) -> bytes:
    """``messages`` as one batch, whose offsets begin with ``base``."""
    records = b"".join(_record(message, number) for number, message in enumerate(messages))
    data = bytes(ENCODERS[codec](records)) if codec else records
    return batch_of(data, len(messages), codec=codec, base=base, timestamp=timestamp)


def batch_of(records: bytes, count: int, *, codec: int = 0, base: int = 0, timestamp: int = 1000) -> bytes:
    """A batch that says it has ``count`` messages, and has ``records`` in their place."""
    header = struct.pack(
        ">qiibIhiqqqhii",
        *(base, HEADER_BYTES - 12 + len(records), -1, 2, 0),
        *(codec, count - 1, timestamp, timestamp, -1, -1, -1, count),
    )
    return signed(header + records)


def signed(data: bytes) -> bytes:
    """The batch ``data`` with the checksum that fits."""
    return data[:CRC_AT] + struct.pack(">I", calc_crc32c(data[CHECKED_AT:])) + data[CHECKED_AT:]


def legacy(messages: Sequence[Raw], *, magic: Literal[0, 1], codec: int = 0, last: int) -> bytes:
    """``messages`` in a format from before Kafka 0.11, with ``last`` for the offset of the last one.

    Without a codec there is one message, which is a batch by itself.
    """
    builder = LegacyRecordBatchBuilder(magic, codec, 1 << 20)
    for number, message in enumerate(messages):
        builder.append(number, 1000, message.key, message.value)
    return struct.pack(">q", last) + bytes(builder.build())[8:]


def bomb(size: int, *, codec: int = ZSTD, base: int = 0, count: int = 3) -> bytes:
    """A small batch of ``count`` messages, of ``size`` bytes and more each when decompressed."""
    return batch([Raw(bytes(size))] * count, codec=codec, base=base)


def not_decompressing(count: int = 3) -> bytes:
    """A batch that brokers take and that does not decompress: they do not look at this checksum of lz4."""
    records = b"".join(_record(Raw(b"v" * 100), number) for number in range(count))
    compressor = cramjam.lz4.Compressor(level=1, content_checksum=True, block_linked=False)
    compressor.compress(records)
    data = bytes(compressor.finish())
    return batch_of(data[:-4] + bytes(4), count, codec=LZ4)


async def produce(address: str, topic: str, partition: int, data: bytes) -> int:
    """Have the broker at ``address`` take the batch ``data``; returns the offset of its first message."""
    client = AIOKafkaClient(bootstrap_servers=address)
    await client.bootstrap()
    try:
        async with asyncio.timeout(ANSWER_MS / 1000):
            return await _produced(client, topic, partition, data)
    finally:
        await client.close()


def produce_sync(address: str, topic: str, partition: int, data: bytes) -> int:
    """The same, outside of an event loop."""
    return asyncio.run(produce(address, topic, partition, data))


async def _produced(client: Any, topic: str, partition: int, data: bytes) -> int:
    request = ProduceRequest(None, -1, ANSWER_MS, [(topic, [(partition, data)])])
    await client.add_topic(topic)
    while True:
        response = await client.send(client.cluster.leader_for_partition(TopicPartition(topic, partition)), request)
        ((_, ((_, code, offset, *_),)),) = response.topics
        error = for_code(code)
        if error is NoError:
            return int(offset)
        # The broker may tell who leads a new topic before the leader knows.
        if error is not NotLeaderForPartitionError:
            raise error
        await client.force_metadata_update()


def varint(number: int) -> bytes:
    """``number`` with a variable length."""
    raw = (number << 1) ^ (number >> 63)
    out = bytearray()
    while raw > 0x7F:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    return bytes([*out, raw])


def _record(message: Raw, number: int) -> bytes:
    body = b"\0" + varint(0) + varint(number) + _sized(message.key) + _sized(message.value)
    headers = b"".join(_sized(name) + _sized(value) for name, value in message.headers)
    body += varint(len(message.headers)) + headers
    return varint(len(body)) + body


def _sized(part: bytes | None) -> bytes:
    return varint(-1) if part is None else varint(len(part)) + part
