"""``replog lag``: members of the group, and what of each partition is not in the store yet."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from replog.settings import CollectorSettings, load
from replog_cli.display import console, diagnosis
from replog_cli.extras import extra
from replog_cli.options import JsonOption, print_json

if TYPE_CHECKING:
    from replog_repair.diagnosis.lag import GroupLag, PartitionLag


def lag(*, as_json: JsonOption = False) -> None:
    """Show how far the collectors are behind: members, offsets and lag by partition, and the oldest unread event.

    Reads the settings of a collector. Joins no group and changes nothing.
    """
    with extra("collector", "lag"):
        from replog_repair.diagnosis.observing.observer import lag_now  # noqa: PLC0415 - of an extra

    settings = load(CollectorSettings)
    # The error that ends this command already contains what the client logs about the broker.
    logging.disable(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    try:
        found = loop.run_until_complete(lag_now(settings))
    finally:
        loop.close()
    now_ms = time.time_ns() // 1_000_000
    if as_json:
        print_json(_as_json(found, now_ms))
        return
    output = console.output()
    output.print(diagnosis.lag(found, now_ms, output.width))
    for note in found.notes:
        console.messages().print(note, style="dim")


def _as_json(found: GroupLag, now_ms: int) -> dict[str, Any]:
    return {
        "group": found.group,
        "topic": found.topic,
        "state": found.state,
        "members": None
        if found.members is None
        else [
            {"clientId": member.client_id, "host": member.host, "partitions": member.partitions}
            for member in found.members
        ],
        "partitions": [_partition(partition, now_ms) for partition in found.partitions],
        "lag": found.total,
        "lost": found.lost,
        "ageS": found.age_s(now_ms),
        "notes": found.notes,
    }


def _partition(partition: PartitionLag, now_ms: int) -> dict[str, Any]:
    oldest = partition.oldest_ms
    return {
        "partition": partition.number,
        "clientId": partition.owner.client_id if partition.owner else None,
        "committed": partition.committed,
        "position": partition.position,
        "end": partition.end,
        "lag": partition.lag,
        "lost": partition.lost,
        "oldestEventTime": None
        if oldest is None
        else datetime.fromtimestamp(oldest / 1000, UTC).isoformat(timespec="milliseconds"),
        "ageS": partition.age_s(now_ms),
    }
