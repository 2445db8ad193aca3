"""A page of the details that meet conditions on names: from indexes, in short calls and bounded memory.

The entries of a name's prefix stand together, status by status, in order of name. Those of one condition are read (see
:mod:`~replog.store.read.details.filter_planner`), and what does not meet the others is left out. Few matches are
sorted. Of many, the newest are kept where the page is among them. A page far behind needs a sample of their times: all
are read to count them and to take those between two times of the sample that enclose the page. Where every entry is a
match, the sample is drawn first, from ranks at random; else all matches are read once more for it.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from math import ceil
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from replog.store.client.command import Command
from replog.store.read.details.match_survey import BOTTOM, TOP, MatchSurvey, drawing, enclosing
from replog.store.read.details.matches import Matches, ids_of_tails
from replog.store.read.details.name_entries import places_in, tails_in, tails_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from replog.store.client.pipelining import CommandRunner
    from replog.store.read.details.name_entries import Source


@dataclass(frozen=True, slots=True)
class NameLimits:
    """Limits of a search by name."""

    #: Entries read in one call, and in those that are sent at once: Redis and this process work on others meanwhile.
    entries_a_call: int = 500
    entries_at_once: int = 1000
    #: The newest matches, of which only those up to the page's end are kept where there are too many to keep all.
    newest: int = 20_000
    #: Matches that are kept; and entries of the driver, to join others with, of more part after part. One takes some 60
    #: bytes, in a join 110.
    kept: int = 250_000
    #: Cost from which on the matches are worth being remembered, in entries read.
    remembered_cost: int = 10_000
    #: Ranks that are drawn to say where the page is, or part of the matches; and how far beside it is read, in standard
    #: deviations.
    drawn: int = 1000
    sampled: float = 0.02
    margin: float = 4.0


NAME_LIMITS = NameLimits()


class Ways(NamedTuple):
    """A :class:`replog.store.read.details.filter_planner.Plan` with the sources and names that its numbers stand for.

    ``asked`` are exact names, behind their kind and with the NUL. ``admits``, where given, picks the ids of those that
    meet the conditions that are checked. ``cost`` is the most that all take, in entries read.
    """

    driver: Source
    cost: float
    joined: Sequence[Source] = ()
    asked: Sequence[bytes] = ()
    admits: Callable[[list[bytes]], Awaitable[set[bytes]]] | None = None

    @property
    def take_all(self) -> bool:
        """Whether every entry of the driver is a match."""
        is_alone = not self.joined and not self.asked and self.admits is None
        return is_alone and all(part.pairs is None for part in self.driver.parts)


class NamedPage(NamedTuple):
    """The number of matches, and the ids on the page, newest first; matches around it where they were costly."""

    total: int
    ids: list[bytes]
    matches: Matches | None = None


class NameIndex:
    """The details of one record that are found in these ways; ``by_name`` is the index's key."""

    def __init__(self, connection: CommandRunner, by_name: bytes, ways: Ways, limits: NameLimits = NAME_LIMITS) -> None:
        self._connection = connection
        self._by_name = by_name
        self._ways = ways
        self._limits = limits

    async def page(self, offset: int, limit: int) -> NamedPage:
        """The ``limit`` matches from ``offset`` on."""
        limits, end = self._limits, offset + limit
        is_near = end <= limits.newest
        if self._ways.take_all and not is_near and self._ways.driver.entries > limits.kept:
            return await self._enclosed(offset, limit, self._ways.driver.entries, await self._drawn())
        survey = MatchSurvey(wanted=end if is_near else None, kept=limits.kept, sampled=limits.sampled)
        async with aclosing(self._tails()) as steps:
            async for tails in steps:
                survey.add(tails)
        if survey.is_whole or is_near:
            return self._of(Matches(survey.tails, total=survey.total), offset, limit)
        return await self._enclosed(offset, limit, survey.total, survey.sample)

    async def _enclosed(self, offset: int, limit: int, total: int, sample: list[bytes]) -> NamedPage:
        """The page, from the matches between two of the sample's times."""
        if offset >= total:
            return NamedPage(total, [])
        above, below = enclosing(sample, offset / total, min(1, (offset + limit) / total), margin=self._limits.margin)
        before, tails = await self._between(above, below)
        if before > offset or before + len(tails) < min(offset + limit, total):
            # The sample was misleading, which is rare: take all, at the price of memory.
            before, tails = await self._between(TOP, BOTTOM)
        return self._of(Matches(tails, before=before, total=total), offset, limit)

    def _of(self, matches: Matches, offset: int, limit: int) -> NamedPage:
        is_costly = self._ways.cost >= self._limits.remembered_cost
        return NamedPage(matches.total, matches.page(offset, limit), matches if is_costly else None)

    async def _drawn(self) -> list[bytes]:
        """The tails of entries of the driver that are drawn at random."""
        driver, draw = self._ways.driver, drawing()
        spans = [part.span for part in driver.parts]
        drawn = Random(0).choices(spans, [span.size for span in spans], k=self._limits.drawn)  # noqa: S311 - as in drawing
        ranks = [span.first + int(draw() * span.size) for span in drawn]
        replies = await self._connection.run([Command("ZRANGE", [driver.key], [rank, rank]) for rank in ranks])
        return tails_of([member for members in replies for member in members])

    async def _between(self, above: bytes, below: bytes) -> tuple[int, list[bytes]]:
        """Number of matches at or above ``above``, and the tails of those under it down to ``below``."""
        before, found = 0, list[bytes]()
        async with aclosing(self._tails()) as steps:
            async for tails in steps:
                under = [tail for tail in tails if tail < above]
                before += len(tails) - len(under)
                found += [tail for tail in under if tail >= below]
        return before, found

    async def _tails(self) -> AsyncGenerator[list[bytes]]:
        """The tails (time and short id) of all matches, in no order, in steps."""
        unchecked: list[bytes] = []
        async with aclosing(self._joined() if self._ways.joined else self._driven()) as steps:
            async for places in steps:
                tails = tails_in(places)
                if self._ways.admits is None:
                    yield tails
                    continue
                unchecked += tails
                if len(unchecked) >= self._limits.entries_at_once:
                    yield await self._admitted(unchecked)
                    unchecked.clear()
        yield await self._admitted(unchecked)

    async def _joined(self) -> AsyncGenerator[list[bytes]]:
        """The places that stand in the driver and in every other source that is read, in steps.

        Of a driver with more entries than may be kept, these are taken in parts.
        """
        step, parts = self._limits.entries_a_call, ceil(self._ways.driver.entries / self._limits.kept)
        for part in range(parts):
            left: set[bytes] = set()
            async with aclosing(self._driven()) as steps:
                async for places in steps:
                    left.update(places if parts == 1 else [place for place in places if hash(place) % parts == part])
            for source in self._ways.joined:
                left = await self._also_in(source, left) if left else left
            places = list(left)
            for at in range(0, len(places), step):
                yield places[at : at + step]

    async def _also_in(self, source: Source, places: set[bytes]) -> set[bytes]:
        """Those of ``places`` that stand in ``source``."""
        found: set[bytes] = set()
        async with aclosing(self._places_in(source)) as steps:
            async for _, others in steps:
                found |= places.intersection(others)
        return found

    async def _driven(self) -> AsyncGenerator[list[bytes]]:
        """The places in the driver whose details have the names that are asked for, in steps."""
        async with aclosing(self._places_in(self._ways.driver)) as steps:
            async for letter, places in steps:
                for name in self._ways.asked:
                    places = await self._having(letter + name, places)  # noqa: PLW2901 - what is left of them
                yield places

    def _places_in(self, source: Source) -> AsyncGenerator[tuple[bytes, list[bytes]]]:
        a_call, at_once = self._limits.entries_a_call, self._limits.entries_at_once
        return places_in(self._connection, source, a_call=a_call, at_once=at_once)

    async def _having(self, name: bytes, places: list[bytes]) -> list[bytes]:
        """Those of ``places`` whose details have this name, behind the letter of their status."""
        if not places:
            return []
        entries = [name + place for place in places]
        (scores,) = await self._connection.run([Command("ZMSCORE", [self._by_name], entries)])
        return [place for place, score in zip(places, scores, strict=True) if score is not None]

    async def _admitted(self, tails: list[bytes]) -> list[bytes]:
        """Those of ``tails`` whose details meet the conditions that are checked."""
        if self._ways.admits is None or not tails:
            return []
        ids = ids_of_tails(tails)
        admitted = await self._ways.admits(ids)
        return [tail for tail, detail_id in zip(tails, ids, strict=True) if detail_id in admitted]
