"""Tasks in order of their activity, newest first, over all buckets.

Each bucket has an order of its own; a page is merged from all of them. A task is in one bucket alone, so that numbers
add up. A place far from the newest is found by counting the tasks before it in all buckets. The first place is a guess:
each bucket names the task that it has where the page would be, were it all the store, and one that is a little newer
than most of these is mostly just before the page. Where it is not, one bucket's order is the ruler: tasks before one of
its own are counted until that is near the page (:mod:`replog.store.read.rank_selection`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from math import ceil, sqrt
from typing import TYPE_CHECKING, NamedTuple

from replog.store.client.command import Command
from replog.store.format.detail_codec import TIME_BYTES
from replog.store.format.keys import BUCKETS, BucketKeys
from replog.store.read.rank_selection import approach

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner

_TOP = b"\xff"
#: Stands for every status in the index. Nothing stands before its entries, and each task has two others.
ANY = b"*"
_ENTRIES_A_TASK = 3
#: Of the guesses of all buckets, how many are newer than the one that is taken. With equal chances for every task to be
#: in any bucket, the middle one is behind the page half of the time, this one in one case of twenty.
_NEWER_GUESSES = 0.4


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Limits of reads of the index of tasks."""

    #: Tasks that may lie between the place that is counted and the page.
    near: int = 512
    #: As many tasks may lie between the first place that is counted and the page: another round takes longer.
    near_guess: int = 2048
    #: Entries read in one call.
    entries_a_call: int = 1000
    #: Matches of a prefix, of one bucket, up to which the head has them.
    matches_in_head: int = 32
    #: Matches of a prefix up to which they are all read, wherever the page is.
    narrow: int = 2000
    #: Calls sent at once, where all matches of a prefix are read.
    calls_at_once: int = 32

    def share_of(self, entries: int) -> int:
        """The most that one bucket has, but for rare cases, of the first ``entries`` of all."""
        mean = entries / BUCKETS
        return min(self.entries_a_call, ceil(mean + 3 * sqrt(mean)) + 2)


TASK_LIMITS = TaskLimits()


class OrderHead(NamedTuple):
    """The head of an order, by bucket: its counter, entries of the index before it and up to its end, the first ones.

    ``asked`` is how many of each bucket were asked for. A counter is not newer than what was read with it.
    """

    counters: list[bytes | None]
    begins: list[int]
    ends: list[int]
    entries: list[list[bytes]]
    asked: int

    @property
    def numbers(self) -> list[int]:
        """The number of tasks in each bucket."""
        return [end - begin for begin, end in zip(self.begins, self.ends, strict=True)]

    @property
    def total(self) -> int:
        """Tasks in all buckets."""
        return sum(self.numbers)


class _Window:
    """The entries that were read of one bucket, newest first, and where to read on; None at the end."""

    def __init__(self, key: bytes, at_most: bytes) -> None:
        self.key = key
        self.entries: list[bytes] = []
        self.at_most: bytes | None = at_most

    def behind(self, entry: bytes | None) -> bool:
        """Whether there may be entries that are not read and newer than ``entry``; None is older than all."""
        return self.at_most is not None and (entry is None or self.at_most[1:] > entry)


class ActivityOrder:
    """The tasks of one status, or all; ``letter`` stands for it. Entries are ``letter time key``."""

    def __init__(self, connection: CommandRunner, letter: bytes, limits: TaskLimits = TASK_LIMITS) -> None:
        self._connection = connection
        self._limits = limits
        self._letter = letter
        self._buckets = [BucketKeys(connection.prefix, number) for number in range(BUCKETS)]
        self._keys = [bucket.tasks for bucket in self._buckets]

    async def read_head(self, entries: int) -> OrderHead:
        """The number of tasks, and the first ones."""
        share = self._limits.share_of(entries) if entries else 0
        # Commands by themselves: in a script they take Redis twice as long. The counters first, so that they tell of
        # what changes in between.
        calls = [Command("GET", [bucket.moved]) for bucket in self._buckets]
        calls += chain.from_iterable(map(self._bounds, self._keys))
        if share:
            calls += [self._reading(key, b"(" + self._letter + _TOP, share) for key in self._keys]
        replies = await self._connection.run(calls)
        counters, bounds = replies[:BUCKETS], replies[BUCKETS : len(calls) - (BUCKETS if share else 0)]
        begins, ends = self._begins_and_ends(bounds)
        first = replies[-BUCKETS:] if share else [[] for _ in range(BUCKETS)]
        return OrderHead(counters, begins, ends, first, share)

    async def numbers(self) -> OrderHead:
        """The number of tasks alone, without counters."""
        bounds = await self._connection.run([*chain.from_iterable(map(self._bounds, self._keys))])
        begins, ends = self._begins_and_ends(bounds)
        return OrderHead([], begins, ends, [[] for _ in range(BUCKETS)], 0)

    def _bounds(self, key: bytes) -> list[Command]:
        """The commands whose replies say between which ranks of a bucket's index the order is."""
        if self._letter == ANY:
            return [Command("ZCARD", [key])]
        return [Command("ZLEXCOUNT", [key], (b"-", b"(" + self._letter + top)) for top in (b"", _TOP)]

    def _begins_and_ends(self, bounds: list[int]) -> tuple[list[int], list[int]]:
        if self._letter == ANY:
            return [0] * BUCKETS, [entries // _ENTRIES_A_TASK for entries in bounds]
        # What changed in between may have left an order without an end behind its beginning.
        return bounds[::2], [*map(max, bounds[::2], bounds[1::2])]

    async def page(self, seen: OrderHead, offset: int, limit: int) -> list[bytes]:
        """The keys from ``offset`` on. ``seen`` is the head, which was read before and has the total."""
        limit = min(limit, seen.total - offset)
        if limit <= 0:
            return []
        if offset <= self._limits.near:
            return await self._merged(self._seen(seen), offset, limit)
        begin, passed = await self._near(seen, offset)
        return await self._merged(self._unread(b"[" + begin), offset - passed, limit)

    async def first(self, seen: OrderHead, prefix: bytes, wanted: int, matches: int) -> list[bytes]:
        """The first ``wanted`` keys that begin with ``prefix``, as ``matches`` of all do."""
        share = self._limits.share_of(wanted * seen.total // matches)
        return await self._merged(self._seen(seen, prefix), 0, wanted, prefix=prefix, share=share)

    async def _near(self, seen: OrderHead, offset: int) -> tuple[bytes, int]:
        """An entry at or a little before ``offset``, and how many are before it."""
        guess = await self._guess(seen, offset)
        passed = await self._before(guess)
        if 0 <= offset - passed <= self._limits.near_guess:
            return guess, passed
        return await self._approached(seen, offset)

    async def _guess(self, seen: OrderHead, offset: int) -> bytes:
        """A place that is probably a little before ``offset``, by one entry of each bucket."""
        share, ranks = offset / seen.total, list[int]()
        for begin, end in zip(seen.begins, seen.ends, strict=True):
            ranks.append(max(begin, end - 1 - int((end - begin) * share)))
        calls = [Command("ZRANGE", [key], (rank, rank)) for key, rank in zip(self._keys, ranks, strict=True)]
        found = chain.from_iterable(await self._connection.run(calls))
        # Of a bucket that has none, or where tasks have moved meanwhile, it may be another order's.
        guesses = sorted((entry for entry in found if entry.startswith(self._letter)), reverse=True)
        return guesses[int(len(guesses) * _NEWER_GUESSES)] if guesses else self._letter

    async def _before(self, place: bytes) -> int:
        """The number of tasks before a place."""
        bounds = (b"(" + place, b"(" + self._letter + _TOP)
        return sum(await self._connection.run([Command("ZLEXCOUNT", [key], bounds) for key in self._keys]))

    async def _approached(self, seen: OrderHead, offset: int) -> tuple[bytes, int]:
        near_enough, numbers = self._limits.near, seen.numbers
        ruler = max(range(BUCKETS), key=numbers.__getitem__)
        marks = {0: self._letter + _TOP}

        async def count(rank: int) -> int:
            window = [b"(" + self._letter + _TOP, b"[" + self._letter, "LIMIT", rank, 1]
            (found,) = await self._connection.run([Command("ZREVRANGEBYLEX", [self._keys[ruler]], window)])
            # Tasks that moved meanwhile have left it shorter: then the place is behind all.
            marks[rank] = found[0] if found else self._letter
            return await self._before(marks[rank])

        near = await approach(
            count,
            details=numbers[ruler],
            matches=seen.total,
            offset=offset,
            is_near=lambda gap, among: gap <= near_enough or among <= 1,
            before=True,
            lead=near_enough // 2,
        )
        return marks[near.mark.rank], near.mark.matches

    def _unread(self, at_most: bytes) -> list[_Window]:
        return [_Window(key, at_most) for key in self._keys]

    def _seen(self, seen: OrderHead, prefix: bytes = b"") -> list[_Window]:
        windows = self._unread(b"(" + self._letter + _TOP)
        for window, entries in zip(windows, seen.entries, strict=True):
            self._add(window, entries, prefix, ended=len(entries) < seen.asked)
        return windows

    async def _merged(
        self, windows: list[_Window], skip: int, limit: int, *, prefix: bytes = b"", share: int = 0
    ) -> list[bytes]:
        """The keys behind the first ``skip``, of those that begin with ``prefix``; read ``share`` a bucket at least."""
        wanted = skip + limit
        share = share or self._limits.share_of(wanted)
        while True:
            first = sorted(chain.from_iterable(window.entries for window in windows), reverse=True)[:wanted]
            last = first[-1] if len(first) == wanted else None
            short = [window for window in windows if window.behind(last)]
            if not short:
                return [entry[len(self._letter) + TIME_BYTES :] for entry in first[skip:]]
            await self._read_on(short, prefix, share)

    async def _read_on(self, windows: list[_Window], prefix: bytes, count: int) -> None:
        calls = [self._reading(of.key, of.at_most or b"-", count) for of in windows]
        for window, entries in zip(windows, await self._connection.run(calls), strict=True):
            self._add(window, entries, prefix, ended=len(entries) < count)

    def _reading(self, key: bytes, at_most: bytes, count: int) -> Command:
        return Command("ZREVRANGEBYLEX", [key], [at_most, b"[" + self._letter, "LIMIT", 0, count])

    def _add(self, window: _Window, entries: list[bytes], prefix: bytes, *, ended: bool) -> None:
        window.at_most = None if ended else b"(" + entries[-1] if entries else window.at_most
        before_key = len(self._letter) + TIME_BYTES
        window.entries += [entry for entry in entries if entry.startswith(prefix, before_key)]
