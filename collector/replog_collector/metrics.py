"""Metrics of a collector; docs/operations.md lists the same."""

from __future__ import annotations

import platform
from bisect import bisect_left, bisect_right
from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from replog.errors import INVALID_REASONS, REFUSED, STORE_TROUBLES, UNREADABLE
from replog.events import TYPES
from replog.statuses import STATUSES
from replog_collector.event_accounting import EventAccounting

if TYPE_CHECKING:
    from collections.abc import Iterator

#: This version, and that of Python: always 1.
BUILD_INFO = Gauge("replog_build_info", "The version that runs, and that of Python", ["version", "python"])
BUILD_INFO.labels(version("replog"), platform.python_version()).set(1)
#: Whether Redis and Kafka answered when the metrics were read.
DEPENDENCY_UP = Gauge("replog_dependency_up", "1 while the dependency answers", ["dependency"])
#: Events received, events in hand, and results by type: applied, duplicate, superseded or invalid.
ACCOUNTS = EventAccounting(TYPES)
REGISTRY.register(ACCOUNTS)
#: Records that ended (SUCCESS, FAILED) or were reopened (RUNNING), by the status they then had.
RECORD_TRANSITIONS = Counter(
    "replog_record_transitions_total", "Records that ended or were reopened, by the status they then had", ["status"]
)
#: Outcomes that the outcomes topic has acknowledged, by the status that their record then had.
OUTCOMES_PUBLISHED = Counter(
    "replog_outcomes_published_total", "Outcomes of records published, by the status of the record", ["status"]
)
#: Messages without a value, which are passed over.
TOMBSTONES = Counter("replog_tombstones_total", "Messages without a value, passed over")


class EventAge(Collector):
    """A histogram that observes a batch at once: an observation per event would cost more than its decoding."""

    NAME = "replog_event_age_seconds"
    BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)

    def __init__(self) -> None:
        self._at_most = [0] * len(self.BOUNDS_S)
        self._count = 0
        self._sum_s = 0.0

    def observe(self, published_ms: list[int], now_ms: int) -> None:
        """Observe the ages of a batch's events, by their times of publishing; a time in the future counts as age 0.

        A negative time is Kafka's sentinel for none, and is left out.
        """
        moments = sorted(published_ms)
        if moments and moments[0] < 0:
            moments = moments[bisect_left(moments, 0) :]
        self._count += len(moments)
        past = moments[: bisect_right(moments, now_ms)]
        self._sum_s += (now_ms * len(past) - sum(past)) / 1000
        for i, bound_s in enumerate(self.BOUNDS_S):
            self._at_most[i] += len(moments) - bisect_left(moments, now_ms - bound_s * 1000)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The metric, as the client library asks for it."""
        buckets = [(str(bound), float(count)) for bound, count in zip(self.BOUNDS_S, self._at_most, strict=True)]
        yield HistogramMetricFamily(
            self.NAME,
            "Seconds from publishing an event to its being readable",
            [*buckets, ("+Inf", float(self._count))],
            self._sum_s,
        )


#: Seconds from publishing (the message's timestamp) to being readable in the store.
EVENT_AGE = EventAge()
REGISTRY.register(EVENT_AGE)
#: Events in one batch.
BATCH_EVENTS = Histogram(
    "replog_batch_events", "Events in one batch", buckets=(1, 10, 50, 100, 250, 500, 1000, 2000, 5000, 10000)
)
#: Seconds one batch took, from decoding to its being in the store.
BATCH_SECONDS = Histogram(
    "replog_batch_seconds",
    "Seconds one batch took, from decoding to its being in the store",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
#: Lag in messages, by assigned partition.
LAG = Gauge("replog_consumer_lag", "Messages behind the end of an assigned partition", ["partition"])
#: Offset of the next message to apply, by assigned partition.
POSITION = Gauge("replog_consumer_position", "Offset of the next message to apply", ["partition"])
#: Lag of the group as the broker sees it: committed offsets follow the positions within half a second.
COMMITTED_LAG = Gauge(
    "replog_consumer_committed_lag", "Messages between the committed offset and the end", ["partition"]
)
#: Partitions of the event topic, as the broker described it last; 0 before that.
TOPIC_PARTITIONS = Gauge("replog_topic_partitions", "Partitions of the event topic")
#: Offsets that the topic's retention deleted before they were read.
OFFSETS_SKIPPED = Counter("replog_offsets_skipped_total", "Offsets that retention deleted before they were read")
#: Times that partitions went back to the checkpoints, because the store had lost acknowledged writes.
STORE_REWINDS = Counter("replog_store_rewinds_total", "Times that partitions went back because the store lost writes")
#: Events sent to the dead-letter topic.
DEAD_LETTERS = Counter("replog_dead_letters_total", "Events sent to the dead-letter topic", ["reason"])
#: Rebalances of the consumer group in which partitions of this collector were revoked.
REBALANCES = Counter("replog_rebalances_total", "Rebalances of the consumer group seen by this collector")
#: Records that retention removed, with their details.
REMOVED_RECORDS = Counter("replog_removed_records_total", "Records removed by retention")


class StaleCounts(Collector):
    """Gauges that have no value while another collector counts: none is not zero."""

    LABELS: ClassVar[dict[str, list[str]]] = {"replog_stale_records": [], "replog_stale_details": []}

    def __init__(self) -> None:
        self._counts: dict[str, int | None] = {}

    def tell(self, kind: str, count: int | None) -> None:
        """Set the gauge of stale ``records`` or ``details``; None while another collector counts."""
        self._counts[kind] = count

    def forget(self) -> None:
        """Clear both gauges."""
        self._counts.clear()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metric, as the client library asks for it."""
        counts = self._counts.copy()
        for name in self.LABELS:
            kind = name.rpartition("_")[2]
            yield GaugeMetricFamily(name, f"RUNNING {kind} that were silent for too long", counts.get(kind))


#: Stale records and details, as the API defines them; counted by the one collector that has partition 0.
STALE = StaleCounts()
REGISTRY.register(STALE)
#: Failed calls of the store, by kind.
STORE_ERRORS = Counter("replog_store_errors_total", "Failed calls of the store", ["kind"])

# A counter that begins at 1 has no increase, and fires no alert: what is known beforehand begins at 0.
for _reason in (*INVALID_REASONS, UNREADABLE, REFUSED):
    DEAD_LETTERS.labels(_reason)
for _kind in (*STORE_TROUBLES, REFUSED):
    STORE_ERRORS.labels(_kind)
for _status in STATUSES:
    RECORD_TRANSITIONS.labels(_status.name)
    OUTCOMES_PUBLISHED.labels(_status.name)
