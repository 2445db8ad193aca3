"""Removes records whose time has come, each with all its details, in one step for those who read.

A record is due once its last event (its own or a detail's) is older than the policy allows for its status. What is
RUNNING is not removed by age alone before the longer of the times has passed. Memory of what was removed is kept for
twice that time, so that a replay does not bring it back.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from replog.records import FAILED, RUNNING, STATUS_LETTERS, SUCCESS
from replog.store.connection import Call
from replog.store.keys import BUCKETS, BucketKeys, RecordKeys, task_bucket, task_keys
from replog.store.scripts import DELIST, REMOVE

if TYPE_CHECKING:
    from collections.abc import Callable

    from replog.store.connection import Connection

#: Records looked at in one step.
RECORDS_A_STEP = 100
#: Removed records that are taken off their tasks' lists in one step; one with a long reason has some 60 KB.
LEAVING_A_STEP = 10
#: Ids of removed records forgotten in one step.
FORGOTTEN_A_STEP = 500
#: What was written to within this time is left alone, however old its events are: somebody is at it.
SETTLED_AFTER_S = 60.0

_DAY_MS = 86_400_000
_pack = msgpack.Packer(use_bin_type=False).pack


class Policy(NamedTuple):
    """How long records are kept after their last event, in days."""

    days: float
    failed_days: float

    @property
    def longest_ms(self) -> float:
        """The longer of both, in ms."""
        return max(self.days, self.failed_days) * _DAY_MS

    def horizons(self, now_ms: int) -> dict[bytes, float]:
        """By status letter: the last event must be older than this, in ms."""
        kept_ms = {SUCCESS: self.days * _DAY_MS, FAILED: self.failed_days * _DAY_MS, RUNNING: self.longest_ms}
        return {STATUS_LETTERS[status]: now_ms - kept for status, kept in kept_ms.items()}


class Retention:
    """Sweeps the store; any number of processes may do so at once."""

    def __init__(self, connection: Connection, policy: Policy, *, clock: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._policy = policy
        self._clock = clock

    async def sweep(self) -> int:
        """Remove what is due; returns the number of records removed.

        Raises:
            StoreUnavailable: the next sweep goes on where this one stopped.
        """
        return sum([await self._sweep_bucket(BucketKeys(self._connection.prefix, i)) for i in range(BUCKETS)])

    async def _sweep_bucket(self, bucket: BucketKeys) -> int:
        now_ms = int(self._clock() * 1000)
        horizons = self._policy.horizons(now_ms)
        removed, kept = 0, 0
        while True:
            window = ["-inf", max(horizons.values()), "LIMIT", kept, RECORDS_A_STEP]
            (ids,) = await self._connection.run([Call("ZRANGEBYSCORE", [bucket.due], window)])
            answers = await self._connection.run([self._removal(raw, horizons, now_ms) for raw in ids])
            gone = answers.count(1)
            removed += gone
            kept += len(ids) - gone
            if len(ids) < RECORDS_A_STEP:
                break
        await self._delist(bucket)
        await self._forget(bucket, now_ms - 2 * self._policy.longest_ms)
        return removed

    async def _forget(self, bucket: BucketKeys, last_ms: float) -> None:
        """Forget records that were removed and had their last event then or before."""
        while True:
            window = ["-inf", last_ms, "LIMIT", 0, FORGOTTEN_A_STEP]
            (ids,) = await self._connection.run([Call("ZRANGEBYSCORE", [bucket.removed], window)])
            if ids:
                await self._connection.run([Call("ZREM", [bucket.removed], ids)])
            if len(ids) < FORGOTTEN_A_STEP:
                return

    def _removal(self, raw_id: bytes, horizons: dict[bytes, float], now_ms: int) -> Call:
        keys = RecordKeys(self._connection.prefix, raw_id.decode())
        bucket = keys.bucket
        every_key = [*keys.all, bucket.due, bucket.removed, bucket.leaving, bucket.running, bucket.unfinished]
        settled_ms = now_ms - SETTLED_AFTER_S * 1000
        return Call(REMOVE, every_key, (raw_id, _pack(horizons), min(horizons.values()), settled_ms))

    async def _delist(self, bucket: BucketKeys) -> None:
        """Take removed records off their tasks' lists; also those of a sweep that died here."""
        leaving = Call("HSCAN", [bucket.leaving], [0, "COUNT", LEAVING_A_STEP])
        ((_, found),) = await self._connection.run([leaving])
        while found:
            for raw_id, noted in found.items():
                await self._delist_one(bucket, raw_id, noted)
            ((_, found),) = await self._connection.run([leaving])

    async def _delist_one(self, bucket: BucketKeys, raw_id: bytes, noted: bytes) -> None:
        start, outcome, tasks = msgpack.unpackb(noted, raw=True)
        await self._connection.run([self._delisting(task.decode(), (raw_id, start, outcome)) for task in tasks])
        await self._connection.run([Call("HDEL", [bucket.leaving], [raw_id])])

    def _delisting(self, task_key: str, record: tuple[bytes, bytes, bytes]) -> Call:
        prefix = self._connection.prefix
        keys, bucket = task_keys(prefix, task_key), task_bucket(prefix, task_key)
        return Call(DELIST, [*keys, bucket.tasks, bucket.moved], (*record, task_key))
