"""Decompression of Kafka's batches, into no more memory than they are allowed. Pure."""

from __future__ import annotations

import os
import struct
from itertools import pairwise
from typing import TYPE_CHECKING

import cramjam

from replog.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Codecs, by the numbers that batches name them by.
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
#: Bytes of the buffer at first, by which factor it grows, and beyond which it is not kept for the next batch.
_FIRST_BYTES, _GROWTH, _KEPT_BYTES = 4 * 1024 * 1024, 8, 64 * 1024 * 1024
#: Bytes behind the buffer that are still as they were where it did not overflow.
_MARK_BYTES = 8
#: How blocks begin that are framed as by snappy-java: magic, version, least version that reads it.
_XERIAL_HEADER = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
_BLOCK_BYTES = struct.Struct(">i")


class Decompressor:
    """Decompresses one batch at a time, each to at most ``most_bytes``.

    What a stream says of its own size is not believed: it is written to a buffer of so many bytes that it cannot pass.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._mark = os.urandom(_MARK_BYTES)
        self._buffer = self._room(_FIRST_BYTES)

    def __call__(self, codec: int, data: memoryview) -> memoryview:
        """The decompressed ``data``; valid until the next call.

        Raises:
            UnreadableError: it is damaged, holds more than is allowed, or no such codec is known.
        """
        if len(self._buffer) > _KEPT_BYTES + _MARK_BYTES:
            self._buffer = self._room(_FIRST_BYTES)
        if codec == SNAPPY:
            return self._snappy(data)
        if codec not in _STREAMS:
            raise UnreadableError(f"the codec of number {codec} is not known")
        return self._stream(*_STREAMS[codec], data)

    def _stream(self, name: str, decompress_into: Callable[..., int], data: memoryview) -> memoryview:
        while True:
            size = self._written(name, decompress_into, data)
            if size <= len(self._buffer) - _MARK_BYTES:
                return memoryview(self._buffer)[:size]
            self._grow()

    def _written(self, name: str, decompress_into: Callable[..., int], data: memoryview) -> int:
        try:
            return decompress_into(data, self._buffer)
        except cramjam.DecompressionError as error:
            # That the buffer is full is an error of the same type.
            if self._buffer.endswith(self._mark):
                raise UnreadableError(f"the batch does not decompress by {name}: {error}") from error
            return len(self._buffer)

    def _grow(self) -> None:
        size = len(self._buffer) - _MARK_BYTES
        # Let go first: the two together would be more than is allowed.
        self._buffer = bytearray()
        if size >= self._most_bytes:
            self._buffer = self._room(_FIRST_BYTES)
            raise self._too_large()
        self._buffer = self._room(size * _GROWTH)

    def _snappy(self, data: memoryview) -> memoryview:
        blocks = _xerial_blocks(data) if data[: len(_XERIAL_HEADER)] == _XERIAL_HEADER else [data]
        try:
            ends = [0]
            for block in blocks:
                ends.append(ends[-1] + cramjam.snappy.decompress_raw_len(block))
            if ends[-1] > self._most_bytes:
                raise self._too_large()
            if ends[-1] > len(self._buffer) - _MARK_BYTES:
                self._buffer = bytearray()
                self._buffer = self._room(ends[-1])
            view = memoryview(self._buffer)
            for block, (begin, end) in zip(blocks, pairwise(ends), strict=True):
                cramjam.snappy.decompress_raw_into(block, view[begin:end])
        except cramjam.DecompressionError as error:
            raise UnreadableError(f"the batch does not decompress by snappy: {error}") from error
        return view[: ends[-1]]

    def _room(self, size: int) -> bytearray:
        # Pages of it that nothing is written to take no memory.
        room = bytearray(min(size, self._most_bytes) + _MARK_BYTES)
        room[-_MARK_BYTES:] = self._mark
        return room

    def _too_large(self) -> UnreadableError:
        return UnreadableError(f"the batch decompresses to more than REPLOG_MAX_BATCH_BYTES={self._most_bytes}")


_STREAMS = {
    GZIP: ("gzip", cramjam.gzip.decompress_into),
    LZ4: ("lz4", cramjam.lz4.decompress_into),
    ZSTD: ("zstd", cramjam.zstd.decompress_into),
}


def _xerial_blocks(data: memoryview) -> list[memoryview]:
    blocks, at = [], len(_XERIAL_HEADER)
    while at < len(data):
        begin = at + _BLOCK_BYTES.size
        size = _BLOCK_BYTES.unpack_from(data, at)[0] if begin <= len(data) else -1
        at = begin + size
        if size < 0 or at > len(data):
            raise UnreadableError("the batch does not decompress by snappy: a block is cut")
        blocks.append(data[begin:at])
    return blocks
