"""Ids of details as the entries of indexes hold them: shorter, and in the same order. Pure.

Workers mostly make ids of hexadecimal digits. Up to the first other character, five bits each are enough: eight
characters become five bytes. A *digit* stands for a character, and for what it lies between where it has none of its
own; 0 for the end. Digits are packed by eight, the last ones filled up with 0, and behind them stand the first other
character and all that follows, as they are. So short ids sort as the ids do, byte by byte, and give them back.
``tails.lua`` makes the same.
"""

from __future__ import annotations

import re
from base64 import b32hexencode
from itertools import groupby

#: Characters with a digit of their own.
_PLAIN = b"-./0123456789abcdef"
_ALPHABET = b"0123456789abcdefghijklmnopqrstuv"
_EIGHT, _FIVE = 8, 5
_PLAIN_RUN = re.compile(rb"[-./0-9a-f]*")
_OTHER, _END = b"\xff", b"\x00"


def _digits() -> tuple[bytes, bytes]:
    """By character its digit, and by digit, as :func:`b32hexencode` writes it, its character."""
    runs = groupby(range(256), key=lambda code: code if code in _PLAIN else None)
    digits, characters = bytearray(), bytearray(range(256))
    characters[_ALPHABET.upper()[0]] = _END[0]
    for digit, (plain, codes) in enumerate(runs, start=1):
        digits += _ALPHABET[digit : digit + 1] * len(list(codes))
        characters[_ALPHABET.upper()[digit]] = _OTHER[0] if plain is None else plain
    return bytes(digits), bytes(characters)


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


def id_of(short: bytes) -> bytes:
    """The id of a short form."""
    characters = b32hexencode(short).translate(_CHARACTER_OF)
    other = characters.find(_OTHER)
    if other < 0:
        return characters.rstrip(_END)
    return characters[:other] + short[(other // _EIGHT + 1) * _FIVE :]
