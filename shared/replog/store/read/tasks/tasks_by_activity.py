"""Tasks in order of their activity, newest first, over all buckets.

Each bucket has an order of its own; a page is merged from all of them. A task is in one bucket alone, so that numbers
add up. Far from the newest, one bucket's order is the ruler: how many tasks there are before one of its own is counted
in all buckets, until that is near the page (:mod:`replog.store.read.rank_selection`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from math import ceil, sqrt
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from replog.store.client.command import Command
from replog.store.client.scripts import HEADS
from replog.store.format.detail_codec import TIME_BYTES
from replog.store.format.keys import BUCKETS, BucketKeys
from replog.store.read.rank_selection import approach

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replog.store.client.pipelining import CommandRunner

_TOP = b"\xff"
_pack = msgpack.Packer(use_bin_type=False).pack


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Limits of reads of the index of tasks."""

    #: Tasks that may lie between the place that is counted and the page.
    near: int = 512
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


class TaskIndexHead(NamedTuple):
    """The head of the index, by bucket: its counter, its number of entries, the first of them."""

    counters: list[bytes | None]
    numbers: list[int]
    entries: list[list[bytes]]

    @property
    def total(self) -> int:
        """Entries in all buckets."""
        return sum(self.numbers)


async def read_head(
    connection: CommandRunner, heads: Iterable[bytes], entries: int, *, or_none: bool = False
) -> TaskIndexHead:
    """The entries that begin with ``heads`` in the index of tasks, the first ``entries`` of each bucket.

    With ``or_none``, none where a bucket has more.
    """
    asked = [_pack([*heads]), entries, int(or_none)]
    buckets = [BucketKeys(connection.prefix, number) for number in range(BUCKETS)]
    replies = await connection.run([Command(HEADS, [bucket.tasks, bucket.moved], asked) for bucket in buckets])
    return TaskIndexHead(*map(list, zip(*replies, strict=True)))


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
        self._keys = [BucketKeys(connection.prefix, number).tasks for number in range(BUCKETS)]

    async def read_head(self, entries: int) -> TaskIndexHead:
        """The number of tasks, and the first ones."""
        return await read_head(self._connection, [self._letter], self._limits.share_of(entries) if entries else 0)

    async def numbers(self) -> TaskIndexHead:
        """The number of tasks alone."""
        bounds = [b"[" + self._letter, b"(" + self._letter + _TOP]
        numbers = await self._connection.run([Command("ZLEXCOUNT", [key], bounds) for key in self._keys])
        return TaskIndexHead([None] * BUCKETS, numbers, [[] for _ in range(BUCKETS)])

    async def page(self, seen: TaskIndexHead, offset: int, limit: int) -> list[bytes]:
        """The keys from ``offset`` on. ``seen`` is the head, which was read before and has the total."""
        limit = min(limit, seen.total - offset)
        if limit <= 0:
            return []
        if offset <= self._limits.near:
            return await self._merged(self._seen(seen), offset, limit)
        begin, passed = await self._near(seen, offset)
        return await self._merged(self._unread(b"[" + begin), offset - passed, limit)

    async def first(self, seen: TaskIndexHead, prefix: bytes, wanted: int, matches: int) -> list[bytes]:
        """The first ``wanted`` keys that begin with ``prefix``, as ``matches`` of all do."""
        share = self._limits.share_of(wanted * seen.total // matches)
        return await self._merged(self._seen(seen, prefix), 0, wanted, prefix=prefix, share=share)

    async def _near(self, seen: TaskIndexHead, offset: int) -> tuple[bytes, int]:
        """An entry at or a little before ``offset``, and how many are before it."""
        near_enough = self._limits.near
        ruler = max(range(BUCKETS), key=seen.numbers.__getitem__)
        marks = {0: self._letter + _TOP}

        async def count(rank: int) -> int:
            window = [b"(" + self._letter + _TOP, b"[" + self._letter, "LIMIT", rank, 1]
            (found,) = await self._connection.run([Command("ZREVRANGEBYLEX", [self._keys[ruler]], window)])
            # Tasks that moved meanwhile have left it shorter: then the place is behind all.
            marks[rank] = found[0] if found else self._letter
            bounds = [b"(" + marks[rank], b"(" + self._letter + _TOP]
            return sum(await self._connection.run([Command("ZLEXCOUNT", [key], bounds) for key in self._keys]))

        near = await approach(
            count,
            details=seen.numbers[ruler],
            matches=seen.total,
            offset=offset,
            is_near=lambda gap, among: gap <= near_enough or among <= 1,
            before=True,
            lead=near_enough // 2,
        )
        return marks[near.mark.rank], near.mark.matches

    def _unread(self, at_most: bytes) -> list[_Window]:
        return [_Window(key, at_most) for key in self._keys]

    def _seen(self, seen: TaskIndexHead, prefix: bytes = b"") -> list[_Window]:
        windows = self._unread(b"(" + self._letter + _TOP)
        for window, number, entries in zip(windows, seen.numbers, seen.entries, strict=True):
            self._add(window, entries, prefix, ended=len(entries) >= number)
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
        asked = ["LIMIT", 0, count]
        calls = [Command("ZREVRANGEBYLEX", [of.key], [of.at_most, b"[" + self._letter, *asked]) for of in windows]
        for window, entries in zip(windows, await self._connection.run(calls), strict=True):
            self._add(window, entries, prefix, ended=len(entries) < count)

    def _add(self, window: _Window, entries: list[bytes], prefix: bytes, *, ended: bool) -> None:
        window.at_most = None if ended else b"(" + entries[-1] if entries else window.at_most
        before_key = len(self._letter) + TIME_BYTES
        window.entries += [entry for entry in entries if entry.startswith(prefix, before_key)]
