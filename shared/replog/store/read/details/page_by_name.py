"""A page of the details that meet conditions on names: from indexes, in short calls and bounded memory.

The entries of a name's prefix stand together, status by status, in order of name. Those of one condition are read (see
:mod:`~replog.store.read.details.filter_planner`), and what does not meet the others is left out. Few matches are
sorted. Of many, the newest are kept where the page is among them; for a page far behind, all are read once to count
them and to draw a sample of their times, and once more to take those between two of the sample's that enclose the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from replog.store.client.command import Command
from replog.store.format.detail_codec import LONG, TIME_BYTES, pair_bytes
from replog.store.format.short_ids import ids_of
from replog.store.read.bounded_reads import entries_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from replog.store.client.pipelining import CommandRunner

_TOP = b"\xff"


@dataclass(frozen=True, slots=True)
class NameLimits:
    """Limits of a search by name."""

    #: Entries read in one call, and calls sent at once.
    entries_a_call: int = 500
    calls_at_once: int = 16
    #: Matches that are kept and sorted as a whole; of more, the newest, or those around the page.
    kept: int = 20_000
    #: Entries of the driver that are kept at once to join others with; of more, part after part is.
    joined_at_once: int = 100_000
    #: Part of the matches that are drawn to say where the page is, and how far beside it is read, in standard
    #: deviations.
    sampled: float = 0.02
    margin: float = 4.0


NAME_LIMITS = NameLimits()


class Span(NamedTuple):
    """Entries of an index that stand together, from a rank on; ``pairs`` are those admitted, None: all."""

    first: int
    entries: int
    pairs: frozenset[bytes] | None = None


class Source(NamedTuple):
    """The entries of one index that meet a condition: of the one by name or, where ``is_by_pair``, by pair."""

    key: bytes
    spans: Sequence[Span]
    is_by_pair: bool = False

    @property
    def entries(self) -> int:
        """Number of its entries."""
        return sum(span.entries for span in self.spans)


class Ways(NamedTuple):
    """A :class:`replog.store.read.details.filter_planner.Plan` with the sources and names that its numbers stand for.

    ``asked`` are exact names, behind their kind and with the NUL. ``admits``, where given, picks the ids of those that
    meet the conditions that are checked.
    """

    driver: Source
    joined: Sequence[Source] = ()
    asked: Sequence[bytes] = ()
    admits: Callable[[list[bytes]], Awaitable[set[bytes]]] | None = None


class NameIndex:
    """The details of one record that are found in these ways; ``by_name`` is the index's key."""

    def __init__(self, connection: CommandRunner, by_name: bytes, ways: Ways, limits: NameLimits = NAME_LIMITS) -> None:
        self._connection = connection
        self._by_name = by_name
        self._ways = ways
        self._limits = limits

    async def page(self, offset: int, limit: int) -> tuple[int, list[bytes]]:
        """The number of matches, and the ids of those from ``offset`` on, newest first."""
        total, kept, sample = await self._surveyed(offset + limit)
        if total <= self._limits.kept or offset + limit <= self._limits.kept:
            kept.sort(reverse=True)
            return total, _ids(kept[offset : offset + limit])
        if offset >= total:
            return total, []
        above, below = self._enclosing(sample, offset / total, min(1, (offset + limit) / total))
        before, tails = await self._between(above, below)
        if before > offset or before + len(tails) < min(offset + limit, total):
            # The sample was misleading, which is rare: take all, at the price of memory.
            before, tails = await self._between(_TOP, b"")
        tails.sort(reverse=True)
        return total, _ids(tails[offset - before : offset - before + limit])

    async def _surveyed(self, wanted: int) -> tuple[int, list[bytes], list[bytes]]:
        """The number of matches, the tails of all or of the ``wanted`` newest, and those of a few drawn at random.

        Where there are more matches than may be kept, and as many are wanted, the second is of no use.
        """
        total, kept, sample, floor = 0, list[bytes](), list[bytes](), b""
        most, sampled = self._limits.kept, self._limits.sampled
        draw = Random(0).random  # noqa: S311 - seeded so that a page costs the same each time
        async for tails in self._tails():
            total += len(tails)
            if total <= most or wanted <= most:
                kept += [tail for tail in tails if tail > floor] if floor else tails
            if len(kept) > 2 * most:
                kept.sort(reverse=True)
                del kept[wanted:]
                floor = kept[-1] if kept else floor
            if wanted > most:
                sample += [tail for tail in tails if draw() < sampled]
        return total, kept, sample

    async def _between(self, above: bytes, below: bytes) -> tuple[int, list[bytes]]:
        """Number of matches at or above ``above``, and the tails of those under it down to ``below``."""
        before, found = 0, list[bytes]()
        async for tails in self._tails():
            under = [tail for tail in tails if tail < above]
            before += len(tails) - len(under)
            found += [tail for tail in under if tail >= below]
        return before, found

    async def _tails(self) -> AsyncIterator[list[bytes]]:
        """The tails (time and short id) of all matches, in no order, in steps."""
        if not self._ways.joined:
            async for places in self._places(self._ways.driver):
                yield await self._met(places)
            return
        step = self._limits.entries_a_call
        parts = ceil(self._ways.driver.entries / self._limits.joined_at_once)
        for part in range(parts):
            places = await self._joined(part, parts)
            for at in range(0, len(places), step):
                yield await self._met(places[at : at + step])

    async def _joined(self, part: int, parts: int) -> list[bytes]:
        """The places that stand in the driver and in every other source that is read; one part of several of them."""
        left: dict[bytes, bytes] = {}
        async for places in self._places(self._ways.driver):
            tails = ((_tail(place), place) for place in places)
            left.update((tail, place) for tail, place in tails if parts == 1 or hash(tail) % parts == part)
        for source in self._ways.joined:
            found: dict[bytes, bytes] = {}
            async for places in self._places(source):
                found.update((tail, left[tail]) for tail in map(_tail, places) if tail in left)
            left = found
        return list(left.values())

    async def _places(self, source: Source) -> AsyncIterator[list[bytes]]:
        """Status letter, pair, time and short id of all entries of a source that are of admitted pairs, in steps.

        NUL stands for the letter where nothing is asked by it.
        """
        placed = _by_pair if source.is_by_pair else _by_name if self._ways.asked else _by_name_alone
        spans = [span for span in source.spans if span.entries]
        ranges = [(span.first, span.entries) for span in spans]
        a_call, at_once = self._limits.entries_a_call, self._limits.calls_at_once
        steps = entries_of(self._connection, source.key, ranges, a_call=a_call, at_once=at_once)
        async for number, members in steps:
            places, pairs = placed(members), spans[number].pairs
            yield places if pairs is None else [place for place in places if _pair(place) in pairs]

    async def _met(self, places: list[bytes]) -> list[bytes]:
        """The tails of those of ``places`` that meet the conditions that are asked and checked."""
        for name in self._ways.asked:
            places = await self._having(name, places)
        # As _tail does, without calling it where pairs are few.
        tails = [place[2:] if place[1] < LONG else _tail(place) for place in places]
        if self._ways.admits is None or not tails:
            return tails
        ids = _ids(tails)
        admitted = await self._ways.admits(ids)
        return [tail for tail, detail_id in zip(tails, ids, strict=True) if detail_id in admitted]

    async def _having(self, name: bytes, places: list[bytes]) -> list[bytes]:
        """Those of ``places`` whose details have this name."""
        if not places:
            return []
        entries = [place[:1] + name + place[1:] for place in places]
        (scores,) = await self._connection.run([Command("ZMSCORE", [self._by_name], entries)])
        return [place for place, score in zip(places, scores, strict=True) if score is not None]

    def _enclosing(self, sample: list[bytes], first: float, last: float) -> tuple[bytes, bytes]:
        """Tails of the sample above and below the part of all matches from ``first`` to ``last`` (0 to 1)."""
        ordered, margin = sorted(sample, reverse=True), self._limits.margin
        size = len(ordered)
        begin = int(size * first - margin * sqrt(size * first * (1 - first))) - 1
        end = int(size * last + margin * sqrt(size * last * (1 - last))) + 1
        return ordered[begin] if begin >= 0 else _TOP, ordered[end] if end < size else b""


def _by_name(members: list[bytes]) -> list[bytes]:
    """The places in entries of the index by name: the part behind the name's NUL, with the status before it."""
    return [member[:1] + member.split(b"\x00", 1)[1] for member in members]


def _by_name_alone(members: list[bytes]) -> list[bytes]:
    """The same without the status, which takes half the time."""
    return [member[member.index(0) :] for member in members]


def tails_of(members: list[bytes]) -> list[bytes]:
    """The tails (time and short id) of entries of the index by name."""
    return [_tail(place) for place in _by_name_alone(members)]


def _by_pair(members: list[bytes]) -> list[bytes]:
    """The places in entries of the index by pair."""
    lengths = [pair_bytes(member[0]) for member in members]
    return [
        member[length : length + 1] + member[:length] + member[length + 1 :]
        for member, length in zip(members, lengths, strict=True)
    ]


def _pair(place: bytes) -> bytes:
    return place[1 : 1 + pair_bytes(place[1])]


def _tail(place: bytes) -> bytes:
    return place[1 + pair_bytes(place[1]) :]


def _ids(tails: list[bytes]) -> list[bytes]:
    return ids_of([tail[TIME_BYTES:] for tail in tails])
