"""Figures of a running stack, for its status line and its stop: the metrics of its collector and query service."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.samples import Sample

    from replog_local.addresses import Addresses

_EVENTS = "replog_events_total"
_AS_OF = "replog_as_of_timestamp_seconds"
POLL_INTERVAL_S = 0.05


@dataclass(frozen=True)
class Figures:
    """Numbers since the start of the stack, and the time as of which the query service answers."""

    events: int
    #: Records whose start was applied.
    records: int
    #: None until the collector has caught up for the first time.
    as_of: datetime | None


async def read(client: httpx.AsyncClient, addresses: Addresses) -> Figures:
    """Read the figures.

    Raises:
        httpx.HTTPError: a part does not answer.
    """
    collector = await client.get(f"{addresses.collector_url}/metrics")
    # Metrics need no token.
    api = await client.get(f"{addresses.api_url}/metrics")
    return figures_of(collector.text, api.text)


def figures_of(collector: str, api: str) -> Figures:
    """The figures in the metrics of the collector and of the query service."""
    events = [sample for sample in _samples(collector) if sample.name == _EVENTS]
    starts = [sample for sample in events if sample.labels["type"] == "record.started"]
    return Figures(
        events=int(sum(sample.value for sample in events)),
        records=int(sum(sample.value for sample in starts if sample.labels["result"] == "applied")),
        as_of=as_of_in(api),
    )


async def wait_until_applied(
    client: httpx.AsyncClient, addresses: Addresses, published: datetime, stall_s: float
) -> bool:
    """Wait until all events published up to then are applied. False if no event was applied for ``stall_s``."""
    events, loop = -1, asyncio.get_running_loop()
    with suppress(TimeoutError):
        async with asyncio.timeout(stall_s) as limit:
            while True:
                with suppress(httpx.HTTPError):
                    current = await read(client, addresses)
                    if current.as_of is not None and current.as_of >= published:
                        return True
                    if current.events > events:
                        events = current.events
                        limit.reschedule(loop.time() + stall_s)
                await asyncio.sleep(POLL_INTERVAL_S)
    return False


def as_of_in(metrics: str) -> datetime | None:
    """The time as of which the query service with these metrics answers; None if it does not know."""
    seconds = next((sample.value for sample in _samples(metrics) if sample.name == _AS_OF), 0.0)
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _samples(metrics: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(metrics):
        yield from family.samples
