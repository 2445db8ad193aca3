"""Counts of stale records and details, which are RUNNING and silent for too long, as the API defines stale.

Records are counted exactly, by one small call a bucket. Of details no index knows when they were heard of last, for it
would have to move with every sign of life. They are walked instead: of the records that have RUNNING details those
details that began long enough ago, some at a time (:class:`Pace`). A step takes Redis some half a millisecond in two
calls and this process some two; between two steps the walk rests nine times as long as the step took, so that it takes
a tenth of one process at most. A million RUNNING details of old are walked in some minutes. What ends or moves
meanwhile is counted as it was when the walk came by.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replog.entities import stale_until
from replog.errors import StoreRefused
from replog.records import MS_BIAS, last_ms
from replog.statuses import RUNNING, STATUS_LETTERS
from replog.store.client.command import Command
from replog.store.format import detail_codec
from replog.store.format.detail_codec import TIME_BYTES
from replog.store.format.keys import BUCKETS, BucketKeys, RecordKeys
from replog.store.maintain.retention import log_refusal
from replog.store.read.bounded_reads import values_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from replog.store.client.pipelining import CommandRunner

#: What reading bytes of another shape raises.
_GARBLED = (ValueError, TypeError, LookupError)
_LETTER = STATUS_LETTERS[RUNNING]


@dataclass(frozen=True)
class Pace:
    """Limits of the walk over details."""

    #: Details that are read in one step, and records whose ids are.
    step: int = 250
    #: How many times as long as a step took the walk rests after it.
    rests: int = 9


_PACE = Pace()


class Staleness:
    """Counts what had no event for longer than ``stale_after_s``; ``clock`` gives seconds since 1970.

    What somebody wrote over with something else does not count; ``refused`` is called with it, once a walk.

    Every method raises :class:`~replog.errors.StoreUnavailable` where Redis does not answer.
    """

    def __init__(
        self,
        connection: CommandRunner,
        *,
        stale_after_s: int,
        refused: Callable[[StoreRefused], None] = log_refusal,
        clock: Callable[[], float] = time.time,
        pace: Pace = _PACE,
    ) -> None:
        self._pace = pace
        self._connection = connection
        self._refused = refused
        self._stale_after_s = stale_after_s
        self._clock = clock
        self._buckets = [BucketKeys(connection.prefix, number) for number in range(BUCKETS)]

    async def records(self) -> int:
        """The number of stale records."""
        window = ["-inf", self._until_ms()]
        counts: list[int] = await self._connection.run(
            [Command("ZCOUNT", [bucket.running], window) for bucket in self._buckets]
        )
        return sum(counts)

    async def details(self) -> int:
        """The number of stale details; walks them, with pauses."""
        until_ms = self._until_ms()
        found = 0
        async for record_id in self._unfinished():
            keys = RecordKeys(self._connection.prefix, record_id)
            try:
                found += await self._of_record(keys, until_ms)
            except StoreRefused as error:
                self._refused(error)
            except _GARBLED as error:
                self._refused(StoreRefused(f"{keys.details.decode()}: cannot be read: {error!r}"))
        return found

    def _until_ms(self) -> int:
        return stale_until(int(self._clock() * 1000), stale_after_s=self._stale_after_s)

    async def _unfinished(self) -> AsyncIterator[str]:
        """The ids of the records that have RUNNING details all the while; each once."""
        for bucket in self._buckets:
            # A set that is being rehashed may give the same twice.
            seen, cursor = set[bytes](), 0
            while True:
                ((cursor, raw_ids),) = await self._connection.run(
                    [Command("SSCAN", [bucket.unfinished], [cursor, "COUNT", self._pace.step])]
                )
                for raw_id in {*raw_ids} - seen:
                    try:
                        yield raw_id.decode()
                    except UnicodeDecodeError as error:
                        self._refused(StoreRefused(f"{bucket.unfinished.decode()}: no record's id: {error}"))
                seen |= {*raw_ids}
                if not int(cursor):
                    break

    async def _of_record(self, keys: RecordKeys, until_ms: int) -> int:
        """The stale ones of one record: they began no later than they were heard of last."""
        low, high = b"[" + _LETTER, b"(" + _LETTER + max(0, until_ms + 1 + MS_BIAS).to_bytes(TIME_BYTES, "big")
        found = 0
        while True:
            begun_s = time.perf_counter()
            (entries,) = await self._connection.run(
                [Command("ZRANGEBYLEX", [keys.by_status], [low, high, "LIMIT", 0, self._pace.step])]
            )
            ids = [entry[len(_LETTER) + TIME_BYTES :] for entry in entries]
            found += await self._stale_among(keys, ids, until_ms)
            await self._rest(begun_s)
            if len(entries) < self._pace.step:
                return found
            low = b"(" + entries[-1]

    async def _stale_among(self, keys: RecordKeys, ids: Sequence[bytes], until_ms: int) -> int:
        return sum([_is_stale(value, until_ms) async for _, value in values_of(self._connection, keys.details, ids)])

    async def _rest(self, begun_s: float) -> None:
        await asyncio.sleep((time.perf_counter() - begun_s) * self._pace.rests)


def _is_stale(value: bytes, until_ms: int) -> bool:
    registers = detail_codec.unpack(value)
    return registers.outcome.endswith(_LETTER) and last_ms(registers.last) <= until_ms
