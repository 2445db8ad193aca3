"""Partitions in which producers put a key. Pure, but for the library's partitioner."""

from __future__ import annotations

import zlib

from aiokafka.partitioner import DefaultPartitioner


def partitions_of(key: bytes, count: int) -> tuple[int, ...]:
    """The partitions, of ``count``, in which the usual producers put ``key``; one or two.

    The first is that of Java's clients and of aiokafka (murmur2), the second that of librdkafka (CRC-32), as long as
    neither was set up otherwise, and the number of partitions was always the same.
    """
    numbers = list(range(count))
    java: int = DefaultPartitioner()(key, numbers, numbers)
    return tuple(dict.fromkeys((java, zlib.crc32(key) % count)))
