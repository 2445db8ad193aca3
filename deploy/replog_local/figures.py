"""Figures of a running stack, for its status line: from the collector's metrics and an answer of the query service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from replog_local.stack import AS_OF_HEADER, AS_OF_PATH

if TYPE_CHECKING:
    import httpx

    from replog_local.stack import Addresses

_EVENTS = "replog_events_total"
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Figures:
    """Numbers since the start of the stack, and the time as of which the query service answers."""

    events: int
    #: Records whose start was applied.
    records: int
    #: None until the collector has caught up for the first time, and where the query service wants a token.
    as_of: datetime | None


async def read(client: httpx.AsyncClient, addresses: Addresses) -> Figures:
    """Read the figures.

    Raises:
        httpx.HTTPError: a part does not answer.
    """
    metrics = await client.get(f"{addresses.collector_url}/metrics")
    answer = await client.get(f"{addresses.api_url}{AS_OF_PATH}")
    return figures_of(metrics.text, answer.headers.get(AS_OF_HEADER))


def figures_of(metrics: str, as_of: str | None) -> Figures:
    """The figures in a text of metrics and in the value of a header."""
    samples = [sample for family in text_string_to_metric_families(metrics) for sample in family.samples]
    events = [sample for sample in samples if sample.name == _EVENTS]
    starts = [sample for sample in events if sample.labels["type"] == "record.started"]
    moment = datetime.fromisoformat(as_of) if as_of else _EPOCH
    return Figures(
        events=int(sum(sample.value for sample in events)),
        records=int(sum(sample.value for sample in starts if sample.labels["result"] == "applied")),
        as_of=None if moment == _EPOCH else moment,
    )
