"""Retention at size: whole records and all their details, until Redis has their memory back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from redis import Redis

from replog.store.maintain.retention import Policy, Retention
from tests.benchmarks.redis_calls import CallRecorder

if TYPE_CHECKING:
    from tests.benchmarks.stores import Stores

_KEPT = Policy(days=1, failed_days=1)
#: Now is later for the sweep, so that what was written just now is due.
_LATER_S = 2 * 86_400
_LOOK_EVERY_S = 0.1


async def remove(stores: Stores) -> tuple[int, CallRecorder]:
    """Remove every record; returns how many there were."""
    retention = Retention(stores.ours, _KEPT, clock=lambda: time.time() + _LATER_S)
    with CallRecorder(stores.url) as recorder:
        removed = await retention.sweep()
        with Redis.from_url(stores.url) as redis:
            while redis.info("memory")["lazyfree_pending_objects"]:
                await asyncio.sleep(_LOOK_EVERY_S)
    return removed, recorder
