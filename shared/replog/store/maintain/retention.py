"""Removes records whose time has come, each with all its details, in one step for those who read.

A record is due once its last event (its own or a detail's) is older than the policy allows for its status. No event
counts as later than when it was written, so that one that is dated far ahead does not keep its record for ever. What is
RUNNING is not removed by age alone before the longer of the times has passed. Memory of what was removed is kept for
twice that time, so that a replay does not bring it back; of what was erased, too, but for two days at least.

Somebody may have written something else to a key. Entries of a bucket that cannot be read are removed and logged; what
Redis refuses is left and reported, and the sweep goes on with the next record, and with the next bucket.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from replog.errors import StoreRefused
from replog.statuses import FAILED, RUNNING, STATUS_LETTERS, SUCCESS
from replog.store.client.command import Command
from replog.store.client.scripts import DELIST, EXPIRE, REMOVE
from replog.store.format.keys import BUCKETS, BucketKeys, RecordKeys, task_bucket, task_keys
from replog.telemetry import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from replog.store.client.pipelining import CommandRunner

#: Records looked at in one step.
RECORDS_A_STEP = 100
#: Removed records that are taken off their tasks' lists in one step; one with a long reason has some 60 KB.
LEAVING_A_STEP = 10
#: Ids of removed records forgotten in one step.
FORGOTTEN_A_STEP = 500
#: What was written to within this time is left alone, however old its events are: somebody is at it.
SETTLED_AFTER_S = 60.0
#: How long it is remembered that a record left a task's list: no writer is so slow.
LEFT_KEPT_MS = 86_400_000

_DAY_MS = 86_400_000
_pack = msgpack.Packer(use_bin_type=False).pack


class Policy(NamedTuple):
    """Days for which records are kept after their last event: ``failed_days`` for FAILED ones."""

    days: float
    failed_days: float

    @property
    def longest_ms(self) -> float:
        """The longer of both, in ms."""
        return max(self.days, self.failed_days) * _DAY_MS

    @property
    def erasures_kept_ms(self) -> float:
        """Time in ms for which it is remembered that a record was erased, from its last change on."""
        return max(2 * self.longest_ms, 2 * LEFT_KEPT_MS)

    def horizons(self, now_ms: int) -> dict[bytes, float]:
        """By status letter: the last event must be older than this, in ms."""
        kept_ms = {SUCCESS: self.days * _DAY_MS, FAILED: self.failed_days * _DAY_MS, RUNNING: self.longest_ms}
        return {STATUS_LETTERS[status]: now_ms - kept for status, kept in kept_ms.items()}


def log_refusal(error: StoreRefused) -> None:
    """Log that a record could not be removed."""
    logger().warning("sweep_refused", error=str(error))


class _Leaving(NamedTuple):
    """The entry of a removed record that its tasks' lists may still hold."""

    start: bytes
    outcome: bytes
    task_keys: list[str]
    generation: bytes


class Retention:
    """Sweeps the store; any number of processes may do so at once.

    ``refused`` is called with each refusal of Redis to remove something.
    """

    def __init__(
        self,
        connection: CommandRunner,
        policy: Policy,
        *,
        refused: Callable[[StoreRefused], None] = log_refusal,
        clock: Callable[[], float] = time.time,
        records_a_step: int = RECORDS_A_STEP,
    ) -> None:
        self._records_a_step = records_a_step
        self._connection = connection
        self._policy = policy
        self._refused = refused
        self._clock = clock

    async def sweep(self) -> int:
        """Remove what is due; returns the number of records removed.

        Raises:
            StoreUnavailable: the next sweep goes on where this one stopped.
        """
        return sum([await self._sweep_bucket(BucketKeys(self._connection.prefix, i)) for i in range(BUCKETS)])

    async def _sweep_bucket(self, bucket: BucketKeys) -> int:
        now_ms = int(self._clock() * 1000)
        removed = 0
        with self._going_on():
            removed = await self._remove_due(bucket, now_ms)
        with self._going_on():
            await self._delist(bucket)
        with self._going_on():
            await self._forget(bucket, now_ms)
        return removed

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except StoreRefused as error:
            self._refused(error)

    async def _remove_due(self, bucket: BucketKeys, now_ms: int) -> int:
        horizons = self._policy.horizons(now_ms)
        removed, kept = 0, 0
        while True:
            window = ["-inf", max(horizons.values()), "LIMIT", kept, self._records_a_step]
            # Versions before this one took times as they are: what is due later than now is due by its writing then.
            ahead = [f"({now_ms}", "+inf", "LIMIT", 0, self._records_a_step]
            ids, early = await self._connection.run(
                [Command("ZRANGEBYSCORE", [bucket.due], window), Command("ZRANGEBYSCORE", [bucket.due], ahead)]
            )
            readable = [raw for raw in ids if _is_text(raw)]
            await self._discard("ZREM", bucket.due, [raw for raw in (*ids, *early) if not _is_text(raw)])
            await self._remove(bucket, [raw for raw in early if _is_text(raw)], horizons, now_ms)
            gone = await self._remove(bucket, readable, horizons, now_ms)
            removed += gone
            kept += len(readable) - gone
            if len(ids) < self._records_a_step:
                return removed

    async def _remove(self, bucket: BucketKeys, ids: list[bytes], horizons: dict[bytes, float], now_ms: int) -> int:
        """Returns how many of the records were removed."""
        calls = [self._removal(raw, horizons, now_ms) for raw in ids]
        try:
            return (await self._connection.run(calls)).count(1)
        except StoreRefused:
            # For the sake of one of them; of the others some may be removed already.
            for call in calls:
                with self._going_on():
                    await self._connection.run([call])
            return (await self._connection.run([Command("ZSCORE", [bucket.due], [raw]) for raw in ids])).count(None)

    async def _discard(self, command: str, key: bytes, entries: list[bytes]) -> None:
        """Remove what nobody can read from a key of a bucket."""
        if entries:
            logger().error("garbage_removed", key=key.decode(), entries=[repr(entry) for entry in entries])
            await self._connection.run([Command(command, [key], entries)])

    async def _forget(self, bucket: BucketKeys, now_ms: int) -> None:
        """Forget what is remembered for long enough: that records were removed, and that they left tasks' lists."""
        window = ["-inf", now_ms - 2 * self._policy.longest_ms, "LIMIT", 0, FORGOTTEN_A_STEP]
        left = Command("ZREMRANGEBYSCORE", [bucket.left], ["-inf", now_ms - LEFT_KEPT_MS])
        await self._expire([bucket.erased_at, bucket.erased], now_ms - self._policy.erasures_kept_ms)
        await self._expire([bucket.listed_at, bucket.listed], now_ms - LEFT_KEPT_MS)
        while True:
            ids, _ = await self._connection.run([Command("ZRANGEBYSCORE", [bucket.removed], window), left])
            if ids:
                calls = [Command("ZREM", [bucket.removed], ids), Command("HDEL", [bucket.claimed], ids)]
                await self._connection.run(calls)
            if len(ids) < FORGOTTEN_A_STEP:
                return

    async def _expire(self, keys: list[bytes], until_ms: float) -> None:
        while (await self._connection.run([Command(EXPIRE, keys, (until_ms, FORGOTTEN_A_STEP))]))[
            0
        ] == FORGOTTEN_A_STEP:
            pass

    def _removal(self, raw_id: bytes, horizons: dict[bytes, float], now_ms: int) -> Command:
        keys = RecordKeys(self._connection.prefix, raw_id.decode())
        bucket = keys.bucket
        of_bucket = [bucket.due, bucket.removed, bucket.leaving, bucket.running, bucket.unfinished, bucket.claimed]
        of_bucket.append(bucket.erased)
        settled_ms = now_ms - SETTLED_AFTER_S * 1000
        arguments = (raw_id, _pack(horizons), min(horizons.values()), settled_ms, now_ms)
        return Command(REMOVE, [*keys.all, *of_bucket], arguments)

    async def _delist(self, bucket: BucketKeys) -> None:
        """Take removed records off their tasks' lists; also those of a sweep that died here."""
        cursor = 0
        while True:
            ((cursor, found),) = await self._connection.run(
                [Command("HSCAN", [bucket.leaving], [cursor, "COUNT", LEAVING_A_STEP])]
            )
            leaving = {raw_id: _leaving_of(noted) for raw_id, noted in found.items()}
            await self._discard("HDEL", bucket.leaving, [raw_id for raw_id, of in leaving.items() if of is None])
            for raw_id, of in leaving.items():
                if of:
                    with self._going_on():
                        await self._delist_one(bucket, raw_id, of)
            if not int(cursor):
                return

    async def _delist_one(self, bucket: BucketKeys, raw_id: bytes, of: _Leaving) -> None:
        await self._connection.run([self._delisting(task, raw_id, of) for task in of.task_keys])
        await self._connection.run([Command("HDEL", [bucket.leaving], [raw_id])])

    def _delisting(self, task_key: str, raw_id: bytes, of: _Leaving) -> Command:
        prefix = self._connection.prefix
        keys, bucket = task_keys(prefix, task_key), task_bucket(prefix, task_key)
        arguments = (raw_id, of.start, of.outcome, task_key, of.generation)
        return Command(DELIST, [*keys, bucket.tasks, bucket.moved, bucket.listed], arguments)


def _leaving_of(noted: bytes) -> _Leaving | None:
    """The entry that ``remove.lua`` noted; None where the note was overwritten."""
    try:
        unpacked = msgpack.unpackb(noted, raw=True)
    except (ValueError, TypeError):
        return None
    match unpacked:
        # A record that was never erased has no generation in its note.
        case [bytes() as start, bytes() as outcome, [*tasks], *generation] if all(
            isinstance(task, bytes) and _is_text(task) for task in tasks
        ):
            return _Leaving(start, outcome, [task.decode() for task in tasks], generation[0] if generation else b"")
    return None


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
