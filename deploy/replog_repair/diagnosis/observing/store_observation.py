"""Observes Redis: its state, the rights of the user, and what is under the prefix. Nothing is written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from replog.settings import mask_url
from replog.store.client.command import Command
from replog.store.client.connection import Connection
from replog.store.client.server_settings import server_setting
from replog.store.format.layout import all_buckets, evidence_of_data
from replog.store.read.stored_checkpoints import read_checkpoints
from replog_repair.diagnosis.observations import StoreObservation
from replog_repair.diagnosis.observing.asking import answered
from replog_repair.diagnosis.unknown import Unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replog.settings import CollectorSettings, StoreSettings
    from replog.store.client.server_state import ServerState

#: Small calls that are timed.
_TIMED_CALLS = 20
_MICROSECONDS = 1_000_000
#: Settings that INFO does not tell.
_SETTINGS = ("save", "appendfsync")


async def observe_store(settings: StoreSettings, *, answer_timeout_s: float) -> StoreObservation:
    """The answers of Redis. Raises StoreUnavailable where that is nothing."""
    async with Connection(settings, timeout_s=answer_timeout_s, pool_size=2) as connection:
        # The first call takes as long as connecting does.
        await connection.server_states()
        before_s = time.time()
        states = await connection.server_states()
        now_s = (before_s + time.time()) / 2
        return StoreObservation(
            url=mask_url(settings.redis_url),
            prefix=settings.redis_prefix,
            states=states,
            settings={name: await _setting(connection, name, answer_timeout_s) for name in _SETTINGS},
            latencies_s=await _latencies(connection, answer_timeout_s),
            clocks_ahead_s=[_ahead_s(state, now_s) for state in states],
            missing_rights=await answered(connection.missing_rights(), within_s=answer_timeout_s),
            layouts=await answered(_layouts(connection), within_s=answer_timeout_s),
            has_data=await answered(_has_data(connection), within_s=answer_timeout_s),
        )


async def observe_checkpoints(settings: CollectorSettings, *, answer_timeout_s: float) -> dict[int, int | None]:
    """The checkpoints of the group and topic of ``settings``. Raises StoreUnavailable, StoreRefused."""
    async with Connection(settings, timeout_s=answer_timeout_s, pool_size=1) as connection:
        return await read_checkpoints(connection, group=settings.kafka_group_id, topic=settings.kafka_topic)


async def _setting(connection: Connection, name: str, timeout_s: float) -> Sequence[str | None]:
    found = await answered(server_setting(connection, name), within_s=timeout_s)
    return (None,) if isinstance(found, Unknown) else found


async def _latencies(connection: Connection, timeout_s: float) -> Sequence[float]:
    found = await answered(_timed(connection), within_s=timeout_s * 2)
    return () if isinstance(found, Unknown) else found


async def _timed(connection: Connection) -> list[float]:
    call = Command("EXISTS", [all_buckets(connection.prefix)[0].layout])
    took_s = []
    for _ in range(_TIMED_CALLS):
        before_s = time.perf_counter()
        await connection.run([call])
        took_s.append(time.perf_counter() - before_s)
    return took_s


async def _layouts(connection: Connection) -> list[str]:
    marks = await connection.run([Command("GET", [bucket.layout]) for bucket in all_buckets(connection.prefix)])
    return sorted({mark.decode(errors="replace") for mark in marks if mark is not None})


async def _has_data(connection: Connection) -> bool:
    buckets = all_buckets(connection.prefix)
    return any(await connection.run([Command("EXISTS", evidence_of_data(bucket)) for bucket in buckets]))


def _ahead_s(state: ServerState, now_s: float) -> float | None:
    return None if state.time_us is None else state.time_us / _MICROSECONDS - now_s
