"""The erasures that the store has taken: up to which time records are forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replog.records import time_us
from replog.store.client.command import Command
from replog.store.format.keys import RecordKeys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replog.store.client.pipelining import CommandRunner


async def forgotten(connection: CommandRunner, erased_us: Mapping[str, int]) -> set[str]:
    """Those of the records that the store has forgotten up to the given time in us, or a later one.

    Tasks' lists have forgotten them, too. Raises StoreUnavailable.
    """
    calls = []
    for record_id in erased_us:
        bucket = RecordKeys(connection.prefix, record_id).bucket
        calls += [Command("HGET", [bucket.erased], [record_id]), Command("HGET", [bucket.relisting], [record_id])]
    replies = await connection.run(calls)
    return {
        record_id
        for (record_id, until_us), generation, relisting in zip(
            erased_us.items(), replies[::2], replies[1::2], strict=True
        )
        if generation and time_us(generation) >= until_us and relisting is None
    }
