"""A detail as its record's hash holds it: packed by writers, read by readers, packed again by ``merge.lua``. Pure.

The value is its *head*, pair and status letter, and the msgpack array ``start facts outcome progress last names sums``.
A *pair* is a number from 1: one byte below :data:`LONG`, else ``LONG`` plus a count of bytes, and these. The first five
of the array are the registers, shortened where something else says the same (no order key begins with ``=``):

* ``facts`` are ``=`` and their content where they and the start are of one started event;
* ``outcome`` lacks the status letter;
* ``progress`` is ``=`` and its content where its order key is the outcome's;
* ``last`` is empty where it is the outcome's time.

``names`` are what the detail is indexed by, see :mod:`replog.store.format.index_entries`: an array of each as text or,
where the facts have it as it is, as three numbers: index of the kind, position, length. A single text stands alone; an
empty one for no names. ``sums`` are what the detail adds to those of the record, without the zeros at the end, and as
a number where that leaves only one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from replog.raw_entities import DetailContents
from replog.records import MS_TOP, Registers, facts_content, progress_content
from replog.store.format.index_entries import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.store.format.index_entries import Sums

#: First byte of a pair's number that is longer than one byte, less the number of bytes behind it.
LONG = 0xF0
#: Bytes of milliseconds, as they stand in the indexes' entries; and of a time in an order key.
TIME_BYTES = 7
_ORDER_TIME_BYTES = 9
_SAME = b"="
#: A time and its complement add up to this.
_EARLIEST = MS_TOP << 16 | 999

# Redis 7.0's cmsgpack rejects the bin type: everything goes as raw.
_pack = msgpack.Packer(use_bin_type=False).pack
# The packer writes raw as its oldest readers know it, with a byte more than needed.
_HEADS = [bytes((0xA0 | length,)) if length < 32 else bytes((0xD9, length)) for length in range(256)]  # noqa: PLR2004
_ARRAY_OF_SEVEN = b"\x97"
#: Begins an array, before four bytes with its length.
_ARRAY = b"\xdd"


def pair_bytes(first: int) -> int:
    """Bytes of the pair's number that begins with this byte."""
    return 1 if first < LONG else first - LONG + 1


def head_of(value: bytes) -> bytes:
    """Pair and status letter of a value, or of an entry of the by-pair index."""
    first = value[0]
    # As pair_bytes says, without calling it for each of many.
    return value[:2] if first < LONG else value[: first - LONG + 2]


def shortened(sums: Sums) -> int | tuple[int, ...]:
    """``sums`` without the zeros at the end, and as a number where that leaves only one."""
    end = len(sums)
    while end > 1 and not sums[end - 1]:
        end -= 1
    return sums[:end] if end > 1 else sums[0]


def pack(registers: Registers, names: Sequence[bytes], sums: int | tuple[int, ...]) -> bytes:
    """The value of a detail but for its head; ``sums`` as :func:`shortened` gives them."""
    start, facts, outcome, progress, last = registers
    if facts.startswith(order := _order_of_facts(start)):
        facts = _SAME + facts[len(order) :]
    order = outcome[: outcome[0] + 2 + _ORDER_TIME_BYTES]
    if progress.startswith(order):
        progress = _SAME + progress[len(order) :]
    if last == order[-_ORDER_TIME_BYTES:]:
        last = b""
    texts = map(_raw, (start, facts, outcome[:-1], progress, last))
    return b"".join((_ARRAY_OF_SEVEN, *texts, _pack(_references(names, registers.facts)), _pack(sums)))


def unpack(value: bytes) -> Registers:
    """The registers in a value."""
    start, facts, outcome, progress, last = _shortened_registers(value)
    if facts[:1] == _SAME:
        facts = _order_of_facts(start) + facts[1:]
    key_bytes = outcome[0] + 2 + _ORDER_TIME_BYTES
    if progress[:1] == _SAME:
        progress = outcome[:key_bytes] + progress[1:]
    return Registers(start, facts, outcome, progress, last or outcome[key_bytes - _ORDER_TIME_BYTES : key_bytes])


def unpack_contents(values: Sequence[bytes]) -> DetailContents:
    """The contents of the registers in these values, one at least.

    The values are unpacked as one array: a call for each takes twice as long.
    """
    letters, rows = _unpacked(values)
    starts, facts, outcomes, progress, lasts, _, _ = zip(*rows, strict=True)
    return DetailContents(
        starts,
        [text[1:] if text[:1] == _SAME else facts_content(text) for text in facts],
        outcomes,
        [value[letter] for value, letter in zip(values, letters, strict=True)],
        [text[1:] if text[:1] == _SAME else progress_content(text) for text in progress],
        lasts,
    )


def facts_of(values: Sequence[bytes]) -> list[bytes]:
    """The content of the facts in these values."""
    return [facts_in(facts) for _, facts, *_ in _unpacked(values)[1]]


def _unpacked(values: Sequence[bytes]) -> tuple[list[int], list[list[Any]]]:
    """The place of the letter in each value, and the array behind it."""
    # As pair_bytes says, without calling it for each of many.
    letters = [1 if value[0] < LONG else value[0] - LONG + 1 for value in values]
    bodies = [value[letter + 1 :] for value, letter in zip(values, letters, strict=True)]
    return letters, msgpack.unpackb(b"".join((_ARRAY, len(bodies).to_bytes(4), *bodies)), raw=True)


def _shortened_registers(value: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """The registers in a value, shortened as the value has them."""
    head = pair_bytes(value[0]) + 1
    start, facts, outcome, progress, last, _, _ = msgpack.unpackb(value[head:], raw=True)
    return start, facts, outcome + value[head - 1 : head], progress, last


def reason_and_facts_of(value: bytes) -> tuple[bytes, bytes]:
    """Of a detail that has ended, the error's reason as JSON, empty for none, and the facts as in the value.

    Facts are for :func:`facts_in`: most readers of many reasons need few of them.
    """
    _, facts, outcome, *_ = msgpack.unpackb(value[pair_bytes(value[0]) + 1 :], raw=True)
    return outcome[outcome[0] + 2 + _ORDER_TIME_BYTES :], facts


def facts_in(facts: bytes) -> bytes:
    """The content of facts as a value has them."""
    return facts[1:] if facts[:1] == _SAME else facts_content(facts)


def last_of(value: bytes) -> bytes:
    """The register of the last event in the value of a detail. Reads nothing else."""
    _, _, outcome, _, last, _, _ = msgpack.unpackb(value[pair_bytes(value[0]) + 1 :], raw=True)
    time = outcome[0] + 2
    register: bytes = last or outcome[time : time + _ORDER_TIME_BYTES]
    return register


def _order_of_facts(start: bytes) -> bytes:
    """The order key of the facts of the event that this start is of."""
    earlier = int.from_bytes(start[-_ORDER_TIME_BYTES:], "big")
    return start[:-_ORDER_TIME_BYTES] + (_EARLIEST - earlier).to_bytes(_ORDER_TIME_BYTES, "big")


def _raw(text: bytes) -> bytes:
    packed: bytes = _HEADS[len(text)] + text if len(text) < len(_HEADS) else _pack(text)
    return packed


def _references(names: Sequence[bytes], facts: bytes) -> Any:
    packed: list[Any] = []
    for name in names:
        position = facts.find(name[1:]) if len(name) > 1 else -1
        packed += (name,) if position < 0 else (KINDS.index(name[:1]), position, len(name) - 1)
    return packed if len(packed) > 1 else packed[0] if packed else b""
