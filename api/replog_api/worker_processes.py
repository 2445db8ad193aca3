"""The ``process_*`` metrics of several worker processes; the client library has those of its own process alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

_PROC = Path("/proc")
_FILE = re.compile(r"counter_(\d+)\.db")


class WorkerProcesses(Collector):
    """The metrics of each living process that shares its counters in ``folder`` and is a child of ``parent``.

    A label has the process's id: the sum over processes would fall when one is replaced.
    """

    def __init__(self, folder: Path, parent: int) -> None:
        self._folder = folder
        self._parent = parent

    def collect(self) -> Iterator[Metric]:
        """The metrics, as the client library asks for them; none where there is no ``/proc``."""
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for pid in self._pids():
            for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                made = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
                family = families.setdefault(metric.name, made(metric.name, metric.documentation, labels=["pid"]))
                family.add_metric([str(pid)], metric.samples[0].value)
        yield from families.values()

    def _pids(self) -> list[int]:
        found = (_FILE.fullmatch(path.name) for path in self._folder.iterdir())
        # The id of a process that died may be that of another one by now.
        return sorted(pid for match in found if match and _parent_of(pid := int(match[1])) == self._parent)


def _parent_of(pid: int) -> int | None:
    """The parent of a process; None if it does not run."""
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name, in parentheses, may contain anything.
    return int(stat.rpartition(b")")[2].split()[1])
