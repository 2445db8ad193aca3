"""Every metric of a collector (docs/operations.md lists the same)."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

#: Events by type and what became of them: applied, duplicate, superseded or invalid.
EVENTS = Counter("replog_events_total", "Events taken from the topic, by what became of them", ["type", "result"])
#: Messages without a value, which are passed over.
TOMBSTONES = Counter("replog_tombstones_total", "Messages without a value, passed over")
#: Seconds from publishing (the message's timestamp) to readable in the store.
EVENT_AGE = Histogram(
    "replog_event_age_seconds",
    "Seconds from publishing an event to its being readable",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600),
)
#: Events in one batch.
BATCH_EVENTS = Histogram(
    "replog_batch_events", "Events in one batch", buckets=(1, 10, 50, 100, 250, 500, 1000, 2000, 5000, 10000)
)
#: Seconds one batch took, from decoding to the commit.
BATCH_SECONDS = Histogram(
    "replog_batch_seconds",
    "Seconds one batch took, from decoding to the commit",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
#: Messages behind the end of each assigned partition.
LAG = Gauge("replog_consumer_lag", "Messages behind the end of an assigned partition", ["partition"])
#: Offset of the next message to apply, by assigned partition.
POSITION = Gauge("replog_consumer_position", "Offset of the next message to apply", ["partition"])
#: Events that went to the dead-letter topic.
DEAD_LETTERS = Counter("replog_dead_letters_total", "Events sent to the dead-letter topic", ["reason"])
#: Times that partitions were given to this collector or taken from it.
REBALANCES = Counter("replog_rebalances_total", "Rebalances of the consumer group seen by this collector")
#: Failed calls of the store, by kind.
STORE_ERRORS = Counter("replog_store_errors_total", "Failed calls of the store", ["kind"])
