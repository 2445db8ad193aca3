"""Ids of details as the entries of indexes hold them: shorter, and in the same order. Pure.

Workers mostly make ids of hexadecimal digits. Up to the first other character, five bits each are enough: eight
characters become five bytes. A *digit* stands for a character, and for what it lies between where it has none of its
own; 0 for the end. Digits are packed by eight, the last ones filled up with 0, and behind them stand the first other
character and all that follows, as they are. So short ids sort as the ids do, byte by byte, and give them back.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Characters with a digit of their own.
_PLAIN = b"-./0123456789abcdef"
_ALPHABET = b"0123456789abcdefghijklmnopqrstuv"
_EIGHT, _FIVE = 8, 5
_PLAIN_RUN = re.compile(rb"[-./0-9a-f]*")
_OTHER, _END = b"\xff", b"\x00"


def _digits() -> tuple[bytes, bytes]:
    """By character its digit, as ``int`` reads it in base 32, and by digit its character."""
    runs = groupby(range(256), key=lambda code: code if code in _PLAIN else None)
    digits, characters = bytearray(), bytearray(_END)
    for digit, (plain, codes) in enumerate(runs, start=1):
        digits += _ALPHABET[digit : digit + 1] * len(list(codes))
        characters += _OTHER if plain is None else bytes([plain])
    return bytes(digits), bytes(characters).ljust(256, _OTHER)


_DIGIT_OF, _CHARACTER_OF = _digits()


def short_of(detail_id: bytes) -> bytes:
    """The short form of an id, which is not empty."""
    if not detail_id.translate(None, _PLAIN):
        return _packed(detail_id)
    plain = len(_PLAIN_RUN.match(detail_id)[0])  # type: ignore[index] # it matches anything
    return _packed(detail_id[: plain + 1]) + detail_id[plain:]


def _packed(characters: bytes) -> bytes:
    eights = (len(characters) + _EIGHT - 1) // _EIGHT
    digits = characters.translate(_DIGIT_OF).ljust(eights * _EIGHT, b"0")
    return int(digits, 32).to_bytes(eights * _FIVE, "big")


def ids_of(shorts: Sequence[bytes]) -> list[bytes]:
    """The ids of short forms. Many at once cost a tenth, each, of what a single one costs."""
    width = _FIVE * -(-max(map(len, shorts), default=0) // _FIVE)
    characters = _characters(b"".join([short.ljust(width, b"\x00") for short in shorts]))
    length = width // _FIVE * _EIGHT
    padded = [characters[at : at + length] for at in range(0, len(characters), length or 1)]
    if _OTHER not in characters:
        return [each.rstrip(_END) for each in padded]
    return [_completed(each, short) for each, short in zip(padded, shorts, strict=True)]


def _characters(packed: bytes) -> bytes:
    """The characters of packed digits, a whole number of fives of bytes: eight of each."""
    fives = len(packed) // _FIVE
    lanes = bytearray(_EIGHT * fives)
    for place in range(_FIVE):
        lanes[_EIGHT - _FIVE + place :: _EIGHT] = packed[place::_FIVE]
    # One number of all of them: each step takes as few operations as for a single one.
    digits = int.from_bytes(lanes, "big")
    for mask, shift in _HALVES:
        upper = digits & int.from_bytes(mask * fives, "big")
        digits = upper << shift | digits ^ upper
    return digits.to_bytes(len(lanes), "big").translate(_CHARACTER_OF)


#: Steps by which the 40 bits at the end of 64 become eight digits, each in a byte of its own: the upper half of the
#: bits of each part, and how far it moves up. 20 bits then stand in 32, 10 in 16, and 5 in 8.
_HALVES = [
    (((1 << 20) - 1 << 20).to_bytes(8, "big"), 12),
    (((1 << 10) - 1 << 10).to_bytes(4, "big") * 2, 6),
    (((1 << 5) - 1 << 5).to_bytes(2, "big") * 4, 3),
]


def _completed(characters: bytes, short: bytes) -> bytes:
    """The id of a short form, from its characters: what follows the first that has no digit stands in ``short``."""
    other = characters.find(_OTHER)
    if other < 0:
        return characters.rstrip(_END)
    return characters[:other] + short[(other // _EIGHT + 1) * _FIVE :]
