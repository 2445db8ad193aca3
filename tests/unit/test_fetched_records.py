"""Whatever a batch has in it: reading it does not raise, and everything else of the partition is read."""

from __future__ import annotations

import struct
import tracemalloc
from typing import TYPE_CHECKING, Literal

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED
from hypothesis import given, settings
from hypothesis import strategies as st

from replog_collector.kafka.fetch.fetched_records import FetchedRecords, RecordReader
from replog_collector.kafka.fetch.record_batches import Batches, Record
from replog_collector.kafka.source import Unreadable
from tests.support import batches
from tests.support.batches import GZIP, LZ4, SNAPPY, ZSTD, Raw, batch, batch_of, bomb, legacy, signed, varint

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTITION = TopicPartition("t", 3)
END = 1000
CHECKED = True
MOST_BYTES = 1 << 20
CODECS = [0, GZIP, SNAPPY, LZ4, ZSTD]
GOOD = Raw(b"good")
BAD_NAME = Raw(b"v", b"k", [(b"a", b"1"), (b"r\xe9gion", b"eu"), (b"z", None)])


class Partition:
    """A partition that one client reads, and how far it has got."""

    def __init__(self, *, most_bytes: int = MOST_BYTES, at: int = 0, isolation: int = READ_UNCOMMITTED) -> None:
        self.reader = RecordReader(most_bytes, lambda _: END)
        self.at = at
        self.isolation = isolation

    def poll(self, data: bytes, aborted: Sequence[tuple[int, int]] = ()) -> list[Record | Unreadable]:
        """What there is from where it is on, where the broker answers with ``data``."""
        self.reader.begin_poll()
        records = FetchedRecords(
            self.reader, PARTITION, Batches(data), aborted, self.at, None, None, CHECKED, self.isolation
        )
        messages = list(records)
        self.at = records.next_fetch_offset
        return messages

    def read(self, *held: bytes) -> list[Record | Unreadable]:
        """As :meth:`poll` of a broker that has the batches ``held``, until there is nothing more."""
        messages: list[Record | Unreadable] = []
        tries = 2
        while tries and self.at < END:
            begun = self.at
            # All but the first begin where they say.
            while len(held) > 1 and struct.unpack_from(">q", held[1])[0] <= self.at:
                held = held[1:]
            messages += self.poll(b"".join(held))
            tries = 2 if self.at > begun else tries - 1
        return messages


def told(messages: list[Record | Unreadable]) -> list[tuple[int, int] | bytes | None]:
    """Values of those read, first and last offset of those not."""
    return [
        (message.offset, message.last) if isinstance(message, Unreadable) else message.value for message in messages
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_messages_are_read_whatever_the_codec(codec: int) -> None:
    messages = [Raw(b"a" * 100, None), Raw(None), Raw(b"", b"", [("grün".encode(), b"\xff"), (b"n", None)])]
    first, second, third = Partition().poll(batch(messages, codec=codec, base=7))
    assert first == Record(3, 7, 1000, None, b"a" * 100, [])
    assert second == Record(3, 8, 1000, b"k", None, [])
    assert third == Record(3, 9, 1000, b"", b"", [("grün", b"\xff"), ("n", None)])


@pytest.mark.parametrize(("magic", "codec"), [(0, 0), (0, GZIP), (0, SNAPPY), (1, 0), (1, GZIP), (1, SNAPPY), (1, LZ4)])
def test_messages_of_old_formats_are_read(magic: Literal[0, 1], codec: int) -> None:
    messages = [Raw(b"a", None), Raw(None), Raw(b"", b"")] if codec else [Raw(b"a", None)]
    # Format 0 numbers messages in a batch absolutely, format 1 from its first.
    base = 0 if magic == 0 else 7
    data = legacy(messages, magic=magic, codec=codec, last=base + len(messages) - 1)
    read = Partition().poll(data)
    timestamp = 1000 if magic else -1
    assert read == [
        Record(3, base + number, timestamp, message.key, message.value, []) for number, message in enumerate(messages)
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_a_header_name_that_is_no_utf_8_makes_that_message_unreadable_alone(codec: int) -> None:
    partition = Partition()
    messages = partition.poll(batch([GOOD, BAD_NAME, GOOD], codec=codec) + batch([GOOD], base=3))
    assert told(messages) == [b"good", (1, 1), b"good", b"good"]
    (unreadable,) = (message for message in messages if isinstance(message, Unreadable))
    assert (unreadable.key, unreadable.value, unreadable.timestamp) == (b"k", b"v", 1000)
    assert unreadable.headers == [("a", b"1"), ("r\\xe9gion", b"eu"), ("z", None)]
    assert unreadable.error == "the name of header 1 is not UTF-8: r\\xe9gion"
    assert partition.at == 4


def test_a_long_header_name_is_shown_in_part() -> None:
    (unreadable,) = Partition().poll(batch([Raw(b"v", headers=[(b"\xff" * 10_000, b"")])]))
    assert isinstance(unreadable, Unreadable)
    assert len(unreadable.error) < 200


def test_what_was_read_of_a_batch_before_does_not_come_again() -> None:
    data = batch([BAD_NAME, GOOD, BAD_NAME, GOOD])
    assert told(Partition(at=1).poll(data)) == [b"good", (2, 2), b"good"]


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_bomb_is_passed_over_as_one_and_takes_no_more_than_is_allowed(codec: int) -> None:
    partition = Partition()
    data = bomb(8 * MOST_BYTES, codec=codec, count=5)
    following = batch([GOOD], base=5)
    tracemalloc.start()
    messages, (_, peak) = partition.read(data, following), tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told(messages) == [(0, 4), b"good"]
    assert isinstance(messages[0], Unreadable)
    assert f"REPLOG_MAX_BATCH_BYTES={MOST_BYTES}" in messages[0].error
    # Its own bytes are joined with those of the other once more.
    assert peak < 2 * MOST_BYTES + len(data)


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_batch_as_large_as_is_allowed_is_read(codec: int) -> None:
    data = batch([Raw(bytes(MOST_BYTES // 2))], codec=codec)
    size = len(batch([Raw(bytes(MOST_BYTES // 2))])) - batches.HEADER_BYTES
    assert len(Partition(most_bytes=size).poll(data)) == 1
    assert told(Partition(most_bytes=size - 1).poll(data)) == [(0, 0)]


def test_a_poll_decompresses_no_more_than_twice_what_one_batch_may_have() -> None:
    """The rest comes with the next; nothing is left out."""
    one = Raw(bytes(MOST_BYTES * 2 // 3))
    data = b"".join(batch([one], codec=ZSTD, base=number) for number in range(6))
    partition = Partition()
    polls = [len(partition.poll(data)) for _ in range(3)]
    assert polls == [2, 2, 2]


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_batch_that_does_not_decompress_is_passed_over_as_one(codec: int, cut: int) -> None:
    whole = batch([Raw(bytes(range(50)))] * 3, codec=codec, base=1)[batches.HEADER_BYTES :]
    damaged = batch_of(whole[:-cut], 3, codec=codec, base=1)
    messages = Partition().poll(batch([GOOD]) + damaged + batch([GOOD], base=4))
    assert told(messages) == [b"good", (1, 3), b"good"]


def test_snappy_blocks_that_lie_about_their_size_are_passed_over() -> None:
    header = batch([GOOD] * 9, codec=SNAPPY)[batches.HEADER_BYTES :][:16]
    for size in (-1, 2**31 - 1, 0):
        data = batch_of(header + struct.pack(">i", size) + b"\xff\xff\xff\xff\x0f", 1, codec=SNAPPY)
        assert told(Partition().poll(data + batch([GOOD], base=1))) == [(0, 0), b"good"]


def test_a_codec_that_nobody_knows_and_a_format_that_nobody_knows_are_passed_over() -> None:
    unknown = batch_of(b"whatever", 2, codec=7)
    later = bytearray(batch([GOOD], base=2))
    later[16] = 3
    messages = Partition().poll(unknown + bytes(later) + batch([GOOD], base=3))
    assert told(messages) == [(0, 1), (2, 2), b"good"]


def test_a_checksum_that_does_not_fit_is_fetched_once_more() -> None:
    """It may have been damaged on its way."""
    first, second, third = batch([GOOD]), batch([GOOD, GOOD], base=1), batch([GOOD], base=3)
    damaged = second.replace(b"good", b"evil")
    partition = Partition()
    assert told(partition.poll(first + damaged + third)) == [b"good"]
    assert told(partition.poll(first + second + third)) == [b"good"] * 3
    assert told(Partition().read(first, damaged, third)) == [b"good", (1, 2), b"good"]


def test_a_checksum_of_an_old_format_that_does_not_fit_is_passed_over() -> None:
    damaged = legacy([Raw(b"good")], magic=1, last=5).replace(b"good", b"evil")
    assert told(Partition(at=5).read(damaged, batch([GOOD], base=6))) == [(5, 5), b"good"]


def test_a_batch_that_says_to_reach_into_the_next_does_not_take_that_with_it() -> None:
    header = bytearray(batch([GOOD]))
    struct.pack_into(">i", header, 23, 2**30)
    partition = Partition()
    assert told(partition.read(bytes(header), batch([GOOD], base=1))) == [(0, 0), b"good"]
    assert Partition().read(bytes(header))[0] == Unreadable(
        3, 0, "the checksum of the batch does not fit", last=END - 1, timestamp=1000
    )


def test_records_that_are_cut_or_lie_about_their_lengths_leave_the_others() -> None:
    good = batch([GOOD])[batches.HEADER_BYTES :]
    at_2 = good[:3] + varint(2) + good[4:]
    for middle in (b"\0\0" + varint(1) + varint(900) + b"ab", b"\0\0" + varint(1), b"\0"):
        data = batch_of(good + varint(len(middle)) + middle + at_2, 3)
        assert told(Partition().poll(data + batch([GOOD], base=3))) == [b"good", (1, 1), b"good", b"good"]


@pytest.mark.parametrize("rest", [b"", b"\xff" * 30, b"\x80", varint(2**40), varint(-5)])
def test_what_is_missing_at_the_end_of_a_batch_is_passed_over(rest: bytes) -> None:
    data = batch_of(batch([GOOD])[batches.HEADER_BYTES :] + rest, 4)
    assert told(Partition().poll(data + batch([GOOD], base=4))) == [b"good", (1, 3), b"good"]


def test_a_batch_that_is_cut_waits_for_the_next_fetch_unless_it_is_the_first() -> None:
    whole = batch([GOOD] * 3, base=1)
    partition = Partition()
    assert told(partition.poll(batch([GOOD]) + whole[:-1])) == [b"good"]
    assert told(partition.poll(whole[:-1])) == [(1, 3)]


def test_an_aborted_transaction_is_passed_over_without_being_decompressed() -> None:
    begun = bytearray(bomb(8 * MOST_BYTES))
    begun[22] |= 0x10
    struct.pack_into(">q", begun, 43, 77)
    aborted = bytearray(batch([Raw(b"\0\0\0\0\0\0", b"\0\0\0\0")], base=3))
    aborted[22] |= 0x30
    struct.pack_into(">q", aborted, 43, 77)
    data = signed(bytes(begun)) + signed(bytes(aborted)) + batch([GOOD], base=4)
    assert told(Partition(isolation=READ_COMMITTED).poll(data, [(77, 0)])) == [b"good"]


def test_an_end_of_a_transaction_that_cannot_be_read_is_passed_over() -> None:
    damaged = bytearray(batch([Raw(b"", None)]))
    damaged[22] |= 0x30
    struct.pack_into(">q", damaged, 43, 77)
    data = signed(bytes(damaged)) + batch([GOOD], base=1)
    assert told(Partition(isolation=READ_COMMITTED).poll(data)) == [(0, 0), b"good"]


@st.composite
def damaged_batches(draw: st.DrawFn) -> bytes:
    """One to five messages from offset 10 on, with bytes changed anywhere but in the length of the batch."""
    messages = draw(st.lists(st.builds(Raw, st.none() | st.binary(max_size=30)), min_size=1, max_size=5))
    codec = draw(st.sampled_from(CODECS))
    whole = bytearray(batch(messages, codec=codec, base=10))
    places = st.integers(0, len(whole) - 1).filter(lambda place: not 8 <= place < 12)
    for place, byte in draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        whole[place] = byte
    # Mostly, what is damaged was damaged before it was signed.
    return signed(bytes(whole)) if draw(st.integers(0, 4)) else bytes(whole)


@settings(max_examples=300)
@given(damaged_batches())
def test_whatever_is_in_a_batch_what_follows_it_is_read(damaged: bytes) -> None:
    partition = Partition(at=10)
    messages = partition.read(damaged, batch([GOOD] * 2, base=20), batch([GOOD], codec=LZ4, base=22))
    assert told(messages)[-3:] == [b"good"] * 3
    assert partition.at == 23
    ends = [message.last if isinstance(message, Unreadable) else message.offset for message in messages]
    offsets = [message.offset for message in messages]
    assert all(end < offset for end, offset in zip(ends, offsets[1:], strict=False))


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_whatever_a_broker_answers_reading_it_ends(data: bytes) -> None:
    Partition().poll(data)
