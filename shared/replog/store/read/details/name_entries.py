"""Entries of the indexes by name and by pair: the details they stand for, read in short calls.

An entry by name is status, kind, name, NUL and place; one by pair is pair, status and tail. A *place* is a detail's
pair, time and short id; a *tail* the same without the pair.
"""

from __future__ import annotations

from contextlib import aclosing
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from replog.store.format.detail_codec import LONG, pair_bytes
from replog.store.read.bounded_reads import entries_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.read.bounded_reads import Span


class Selected(NamedTuple):
    """Entries of a span that are of one of ``pairs``; None: of any."""

    span: Span
    pairs: frozenset[bytes] | None = None


class Source(NamedTuple):
    """The entries of one index that meet a condition: of the one by name or, where ``is_by_pair``, by pair."""

    key: bytes
    parts: Sequence[Selected]
    is_by_pair: bool = False

    @property
    def entries(self) -> int:
        """Number of entries in its spans."""
        return sum(part.span.size for part in self.parts)


async def places_in(
    connection: CommandRunner, source: Source, *, a_call: int, at_once: int
) -> AsyncGenerator[tuple[bytes, list[bytes]]]:
    """The places of all entries of a source that are of admitted pairs, in steps; calls are as of ``entries_of``.

    With each step comes the letter of the status that all of it have. Whoever leaves it early closes it.
    """
    placed = _by_pair if source.is_by_pair else _by_name
    parts = [part for part in source.parts if part.span.size]
    reads = entries_of(connection, source.key, [part.span for part in parts], a_call=a_call, at_once=at_once)
    async with aclosing(reads) as steps:
        async for number, members in steps:
            if members:
                letter, places = placed(members)
                pairs = parts[number].pairs
                yield letter, places if pairs is None else _of_pairs(places, pairs)


def tails_of(members: list[bytes]) -> list[bytes]:
    """The tails in entries of the index by name."""
    return tails_in(_by_name(members)[1]) if members else []


def tails_in(places: list[bytes]) -> list[bytes]:
    """The tails in ``places``."""
    if max(map(itemgetter(0), places), default=0) < LONG:
        return list(map(_BEHIND_SHORT_PAIR, places))
    return [place[pair_bytes(place[0]) :] for place in places]


_BEHIND_SHORT_PAIR = itemgetter(slice(1, None))


def _by_name(members: list[bytes]) -> tuple[bytes, list[bytes]]:
    """The letter of the status of entries of the index by name, which all have one, and their places."""
    # What is called for each of many is built in: it takes a third of the time.
    return members[0][:1], list(map(itemgetter(2), map(bytes.partition, members, repeat(b"\x00"))))


def _by_pair(members: list[bytes]) -> tuple[bytes, list[bytes]]:
    """The same of entries of the index by pair, which all have one."""
    length = pair_bytes(members[0][0])
    pair = members[0][:length]
    return members[0][length : length + 1], [pair + member[length + 1 :] for member in members]


def _of_pairs(places: list[bytes], pairs: frozenset[bytes]) -> list[bytes]:
    """Those of ``places`` that are of one of ``pairs``."""
    firsts = {pair[0] for pair in pairs}
    found = [place for place in places if place[0] in firsts]
    if max(firsts, default=0) < LONG:
        return found
    return [place for place in found if place[: pair_bytes(place[0])] in pairs]
