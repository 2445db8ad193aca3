"""Tasks whose key begins with a prefix: counted exactly by key, a page of them in order of activity.

Few are read and sorted. Of many, the first pages are met sooner in the order of all tasks, and later ones take reading
all that match, step by step.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from replog.statuses import STATUS_LETTERS
from replog.store.client.command import Command
from replog.store.client.scripts import HEADS
from replog.store.format.detail_codec import TIME_BYTES
from replog.store.format.keys import BUCKETS, BucketKeys
from replog.store.read.tasks.tasks_by_activity import TASK_LIMITS
from replog.store.read.versions import ATTEMPTS

if TYPE_CHECKING:
    from replog.store.client.pipelining import CommandRunner
    from replog.store.read.tasks.tasks_by_activity import ActivityOrder, TaskLimits

_TOP = b"\xff"
_pack = msgpack.Packer(use_bin_type=False).pack


class TaskIndexHead(NamedTuple):
    """The head of the index, by bucket: its counter, its number of entries, the first of them."""

    counters: list[bytes | None]
    numbers: list[int]
    entries: list[list[bytes]]

    @property
    def total(self) -> int:
        """Entries in all buckets."""
        return sum(self.numbers)


class TaskNameIndex:
    """The tasks of one status (empty: all) whose key begins with ``prefix``."""

    def __init__(self, connection: CommandRunner, prefix: bytes, status: str, limits: TaskLimits = TASK_LIMITS) -> None:
        self._connection = connection
        self._limits = limits
        self._prefix = prefix
        letters = [STATUS_LETTERS[status]] if status else STATUS_LETTERS.values()
        self._heads = [b"=" + letter + prefix for letter in letters]
        self._buckets = [BucketKeys(connection.prefix, number) for number in range(BUCKETS)]

    async def read_head(self) -> TaskIndexHead:
        """The number of matches, and all of them in buckets that have few."""
        asked = [_pack(self._heads), self._limits.matches_in_head, 1]
        replies = await self._connection.run(
            [Command(HEADS, [bucket.tasks, bucket.moved], asked) for bucket in self._buckets]
        )
        return TaskIndexHead(*map(list, zip(*replies, strict=True)))

    async def page(self, seen: TaskIndexHead, order: ActivityOrder, offset: int, limit: int) -> list[bytes]:
        """The keys from ``offset`` on; ``seen`` is the head, ``order`` that of the status."""
        matches = seen.total
        wanted = min(offset + limit, matches)
        if offset >= matches:
            return []
        if matches > self._limits.narrow:
            of_all = await order.numbers()
            if of_all.total == matches:
                return await order.page(of_all, offset, limit)
            # A page near the newest is met soon by reading in that order; the fewer match, the later.
            if wanted * of_all.total < matches * matches:
                return (await order.first(of_all, self._prefix, wanted, matches))[offset:]
        entries = await self._every(seen)
        ordered = sorted((entry[-TIME_BYTES:] + _key_of(entry) for entry in entries), reverse=True)
        return [entry[TIME_BYTES:] for entry in ordered[offset:wanted]]

    async def keys(self, seen: TaskIndexHead) -> list[bytes]:
        """The keys of all matches, in any order; ``seen`` is the head."""
        return [*map(_key_of, await self._every(seen))]

    async def _every(self, seen: TaskIndexHead) -> list[bytes]:
        """The entries of all matches, each bucket's of one moment unless it changes all the time."""
        found = dict(enumerate(seen.entries))
        buckets = [number for number, known in enumerate(seen.numbers) if len(found[number]) < known]
        counters = dict(enumerate(seen.counters))
        for _ in range(ATTEMPTS):
            if not buckets:
                break
            found |= await self._entries_in(buckets)
            moved = [Command("GET", [self._buckets[number].moved]) for number in buckets]
            now = dict(zip(buckets, await self._connection.run(moved), strict=True))
            # A task that came to another status meanwhile may have been met twice, or not at all.
            buckets = [number for number in buckets if now[number] != counters[number]]
            counters |= now
        return [*chain.from_iterable(found.values())]

    async def _entries_in(self, buckets: list[int]) -> dict[int, list[bytes]]:
        """The entries of these buckets, read one after the other."""
        found: dict[int, list[bytes]] = {number: [] for number in buckets}
        at_once, a_call = self._limits.calls_at_once, self._limits.entries_a_call
        rest = [(number, head, b"(" + head + _TOP) for number in buckets for head in self._heads]
        while rest:
            asked, rest = rest[:at_once], rest[at_once:]
            calls = [_reading(self._buckets[number].tasks, head, at_most, a_call) for number, head, at_most in asked]
            for (number, head, _), entries in zip(asked, await self._connection.run(calls), strict=True):
                found[number] += entries
                if len(entries) == a_call:
                    rest.append((number, head, b"(" + entries[-1]))
        return found


def _key_of(entry: bytes) -> bytes:
    """The task's key in an entry of the index by key."""
    return entry[2 : -TIME_BYTES - 1]


def _reading(key: bytes, head: bytes, at_most: bytes, entries: int) -> Command:
    return Command("ZREVRANGEBYLEX", [key], [at_most, b"[" + head, "LIMIT", 0, entries])
