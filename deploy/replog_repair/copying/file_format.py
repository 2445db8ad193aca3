"""The format of a file that holds a copy of a store. Pure.

A file is :data:`MAGIC`, then frames. A frame is the length of its payload, the CRC-32 of it (both 4 bytes, big-endian),
and the payload: a msgpack array, compressed by zlib. The arrays begin with a letter:

=====  =================================================================================================
``H``  the head, once: version of the format, layout of the store, version of replog, id of the copy
``B``  a bucket ends: its number, and its checkpoints from before its records were read
``R``  records of the bucket, or parts of them: id, time of the newest event, registers, task keys, whether it begins
       here, details with their registers, generation
``X``  records of the bucket that were erased: id, up to which time, whether later events are still to be restored
``D``  records of the bucket that retention removed: id, time, claimed time
``E``  the end, once: the number of records and details in the file
=====  =================================================================================================

Registers are the bytes that the store has (:mod:`replog.records`), so that a file is read by the versions that know its
layout.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from replog.errors import FatalError
from replog.records import Registers
from replog.store.format.layout import COPYABLE
from replog.store.transfer.register_scan import Erasure, RecordPart, RemovedRecord

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

MAGIC = b"replog copy\n"
FORMAT = 1
HEAD, BUCKET, RECORDS, REMOVED, ERASURES, END = b"H", b"B", b"R", b"D", b"X", b"E"
#: Bytes of a payload, and of what it decompresses to; a longer one is none of ours. Writers make some MiB.
MOST_BYTES = 256 * 1024 * 1024
_LENGTH_BYTES = _CRC_BYTES = 4
_LEVEL = 1


class BrokenFileError(FatalError):
    """A file holds no copy, or not a whole one; the message says where and why."""

    def __init__(self, path: str, offset: int, why: str) -> None:
        super().__init__(f"{path} is no whole copy of a store: at byte {offset}: {why}")


class Head(NamedTuple):
    """The head of a file."""

    version: int
    layout: int
    writer: str
    copy_id: str


class Frame(NamedTuple):
    """A frame that was read: where it begins, its kind, and the rest of its array."""

    offset: int
    kind: bytes
    content: list[Any]


def frame(kind: bytes, *content: Any) -> bytes:
    """One frame of a file."""
    payload = zlib.compress(msgpack.packb([kind, *content]), _LEVEL)
    return len(payload).to_bytes(_LENGTH_BYTES, "big") + zlib.crc32(payload).to_bytes(_CRC_BYTES, "big") + payload


def read_frame(file: BinaryIO, path: str) -> Frame | None:
    """The next frame; None at the end of the file.

    Raises:
        BrokenFileError: it is cut off or was changed.
    """
    offset = file.tell()
    head = file.read(_LENGTH_BYTES + _CRC_BYTES)
    if not head:
        return None
    length, crc = int.from_bytes(head[:_LENGTH_BYTES], "big"), int.from_bytes(head[_LENGTH_BYTES:], "big")
    if len(head) < _LENGTH_BYTES + _CRC_BYTES or length > MOST_BYTES:
        raise BrokenFileError(path, offset, "no frame begins here")
    payload = file.read(length)
    if len(payload) < length:
        raise BrokenFileError(path, offset, f"the frame has {length} bytes, and the file ends after {len(payload)}")
    if zlib.crc32(payload) != crc:
        raise BrokenFileError(path, offset, "the frame's checksum is another")
    return Frame(offset, *_content(payload, path, offset))


def _content(payload: bytes, path: str, offset: int) -> tuple[bytes, list[Any]]:
    try:
        inflate = zlib.decompressobj()
        unpacked = msgpack.unpackb(inflate.decompress(payload, MOST_BYTES))
    except (ValueError, zlib.error) as error:
        raise BrokenFileError(path, offset, f"the frame cannot be read: {error}") from None
    match unpacked:
        case [bytes() as kind, *content]:
            return kind, content
    raise BrokenFileError(path, offset, "the frame has another content")


def head_of(found: Frame | None, path: str) -> Head:
    """The head that stands in the first frame.

    Raises:
        BrokenFileError: it is another.
        FatalError: this version cannot read the file.
    """
    match found:
        case Frame(_, kind, [int() as version, *rest]) if kind == HEAD:
            if version != FORMAT:
                raise FatalError(f"{path} has the format {version}; this version of replog reads {FORMAT}")
            head = Head._make((version, *rest))
        case _:
            raise BrokenFileError(path, len(MAGIC), "the head is missing")
    if head.layout not in COPYABLE:
        readable = " and ".join(map(str, sorted(COPYABLE)))
        raise FatalError(
            f"{path} was written by replog {head.writer} with layout {head.layout}; this version reads {readable}"
        )
    return head


def records_content(parts: Iterable[RecordPart]) -> list[Any]:
    """Records as a frame holds them."""
    return [
        (
            of.record_id,
            of.newest_ms,
            tuple(of.registers),
            of.task_keys,
            of.begins,
            [(detail_id, *registers) for detail_id, registers in of.details.items()],
            of.generation,
        )
        for of in parts
    ]


def records_of(content: list[Any]) -> list[RecordPart]:
    """The records in a frame."""
    return [
        RecordPart(
            record_id,
            newest_ms,
            Registers(*registers),
            tuple(task_keys),
            {detail_id: Registers(*rest) for detail_id, *rest in details},
            begins=begins,
            generation=generation,
        )
        for record_id, newest_ms, registers, task_keys, begins, details, generation in content
    ]


def removed_of(content: list[Any]) -> list[RemovedRecord]:
    """The removed records in a frame."""
    return [RemovedRecord(*of) for of in content]


def erasures_of(content: list[Any]) -> list[Erasure]:
    """The erasures in a frame."""
    return [Erasure(*of) for of in content]
