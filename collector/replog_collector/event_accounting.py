"""The accounting of events: at any time, the received ones are those with a result and those in hand."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from replog.records import Effect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

#: Results of events that are merged.
_MERGED = [effect.name.lower() for effect in Effect]


class EventAccounting(Collector):
    """Three metrics that are written and read atomically, because scrapes come from another thread.

    ``types`` are those of events, whose results are counted.
    """

    RECEIVED, PENDING, RESULTS = "replog_events_received", "replog_events_pending", "replog_events"
    #: The labels of each metric, by its exported name.
    LABELS = {  # noqa: RUF012 - never changed
        "replog_events_received_total": [],
        "replog_events_pending": [],
        "replog_events_total": ["type", "result"],
    }

    def __init__(self, types: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._received = self._pending = 0
        self._results: Counter[tuple[str, str]] = Counter()
        # A series that begins at 1 has no increase: those that are known begin at 0.
        self._known = dict.fromkeys([*product(types, _MERGED), ("unknown", "invalid")], 0)

    def receive(self, events: int) -> None:
        """Count ``events`` as received and in hand."""
        with self._lock:
            self._received += events
            self._pending += events

    def settle(self, effects: Mapping[tuple[str, Effect], int], letters: int) -> None:
        """Count the results of events in hand: ``effects`` of merged ones by type, and the number of dead letters."""
        results = Counter({(kind, effect.name.lower()): count for (kind, effect), count in effects.items()})
        if letters:
            results["unknown", "invalid"] += letters
        with self._lock:
            self._results += results
            self._pending -= results.total()

    def collect(self) -> Iterator[Metric]:
        """The three metrics, as the client library asks for them."""
        with self._lock:
            received, pending, results = self._received, self._pending, self._known | self._results
        yield CounterMetricFamily(self.RECEIVED, "Events taken from the topic", received)
        yield GaugeMetricFamily(self.PENDING, "Events taken from the topic that nothing became of yet", pending)
        family = CounterMetricFamily(self.RESULTS, "Events, by what became of them", labels=("type", "result"))
        for labels, count in results.items():
            family.add_metric(labels, count)
        yield family
